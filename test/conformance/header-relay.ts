import { once } from 'node:events'
import { createServer, request as connect, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface HeaderRelay {
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly origin: string
  close(): Promise<void>
}

/**
 * Passes every request on to a server on loopback with one header more, and its answer back: for a client that cannot send that header. Host, Origin and
 * everything else arrive as they were sent, so that the server's own checks are what the client meets.
 */
export async function startHeaderRelay(port: number, added: readonly [name: string, value: string]): Promise<HeaderRelay> {
  const server = createServer((incoming, outgoing) => pass(incoming, outgoing, { port, added }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A server that listens on TCP has an address of this form.
  const { port: own } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${own}`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

interface Target {
  readonly port: number
  readonly added: readonly [name: string, value: string]
}

function pass(incoming: IncomingMessage, outgoing: ServerResponse, { port, added }: Target): void {
  const { method, url: path } = incoming
  // An array is written as it is: names in their case, doubled ones twice, and nothing of this relay's own.
  const headers = [...incoming.rawHeaders, ...added]
  const onward = connect({ host: '127.0.0.1', port, method, path, headers, agent: false, setDefaultHeaders: false })
  onward.on('response', (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
    outgoing.flushHeaders()
    answer.pipe(outgoing)
    answer.on('error', () => outgoing.destroy())
  })
  // Whoever goes first takes the other along: a closed stream is how a client cancels.
  onward.on('error', () => outgoing.destroy())
  outgoing.on('close', () => onward.destroy())
  incoming.pipe(onward)
}
