import { once } from 'node:events'
import * as http from 'node:http'
import type { AddressInfo } from 'node:net'
import * as net from 'node:net'
import type { AttachedSink, SinkFailurePolicy, StreamEvent } from '../../../src/primitives/http-client/contract.ts'

/** A real server on loopback that closes with everything connected to it. */
export interface Loopback extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly requests: readonly RecordedRequest[]
}

export interface RecordedRequest {
  readonly method: string
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export type Handler = (response: http.ServerResponse, request: RecordedRequest, index: number) => void

/** Serves with the handler after the whole request was read; `index` counts requests from 0. */
export async function serve(handler: Handler): Promise<Loopback> {
  const requests: RecordedRequest[] = []
  const server = http.createServer((message, response) => {
    const chunks: Buffer[] = []
    message.on('data', (chunk: Buffer) => chunks.push(chunk))
    message.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      const request = { method: message.method ?? '', path: message.url ?? '', headers: message.headers, body }
      requests.push(request)
      handler(response, request, requests.length - 1)
    })
  })
  const port = await listen(server)
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return { url: `http://127.0.0.1:${port}`, port, requests, [Symbol.asyncDispose]: close }
}

/** A TCP server that hands each connection to the test. */
export async function serveTcp(
  onConnection: (socket: net.Socket) => void,
): Promise<{ port: number; connections(): number } & AsyncDisposable> {
  const sockets = new Set<net.Socket>()
  let connections = 0
  const server = net.createServer((socket) => {
    connections += 1
    sockets.add(socket)
    // A client that hangs up is what these tests provoke.
    socket.on('error', () => socket.destroy())
    onConnection(socket)
  })
  const port = await listen(server)
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  }
  return { port, connections: () => connections, [Symbol.asyncDispose]: close }
}

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A server that listens on a TCP port has an address object.
  return (server.address() as AddressInfo).port
}

/** A port on which nothing listens. */
export async function closedPort(): Promise<number> {
  await using server = await serveTcp((socket) => socket.destroy())
  return server.port
}

export const SSE_HEAD: http.OutgoingHttpHeaders = { 'content-type': 'text/event-stream' }

/** Answers with a stream of server-sent events and ends it in order. */
export function sendEvents(response: http.ServerResponse, ...payloads: readonly string[]): void {
  response.writeHead(200, SSE_HEAD)
  response.end(payloads.map((payload) => `data: ${payload}\n\n`).join(''))
}

/** A sink that remembers what it was given and how often it was closed. */
export interface RecordingSink extends AttachedSink {
  readonly events: StreamEvent[]
  readonly closes: () => number
  readonly data: () => readonly string[]
}

export function recordingSink(
  onError: SinkFailurePolicy = 'fail',
  write?: (event: StreamEvent) => void | Promise<void>,
): RecordingSink {
  const events: StreamEvent[] = []
  let closes = 0
  return {
    type: 'recording',
    onError,
    events,
    closes: () => closes,
    data: () => events.map((event) => event.data),
    sink: {
      write(event) {
        const pending = write?.(event)
        events.push(event)
        return pending
      },
      async close() {
        closes += 1
      },
    },
  }
}
