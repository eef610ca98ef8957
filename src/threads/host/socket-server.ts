import { chmodSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { toEnvelope } from '../../kernel/errors.ts'
import type { JsonObject } from '../../json.ts'
import { createLineSplitter, MAX_REQUEST_BYTES, parseRequest } from './protocol.ts'
import type { HostRequest } from './protocol.ts'

/** The other end of one connection. */
export interface Peer {
  /** False when the peer was too slow and has been dropped. */
  send(message: JsonObject): boolean
  readonly closed: AbortSignal
}

export interface SocketServer {
  /** Requests being answered and watchers. */
  busy(): number
  close(): Promise<void>
}

export interface SocketServerOptions {
  readonly path: string
  readonly handle: (request: HostRequest, peer: Peer) => Promise<JsonObject>
  readonly onProblem: (error: unknown) => void
}

/** What a watcher may leave unread before it is dropped. */
const MAX_BACKLOG_BYTES = 4_194_304
const MAX_CONNECTIONS = 512

/** Listens on a 0600 socket. The path must be free or stale: the caller holds the host's lock. */
export async function listenOnSocket(options: SocketServerOptions): Promise<SocketServer> {
  rmSync(options.path, { force: true })
  const sockets = new Set<Socket>()
  const answering = { count: 0 }
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serve(socket, options, answering)
  })
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, options.path)
  chmodSync(options.path, 0o600)
  return {
    busy: () => answering.count,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function serve(socket: Socket, options: SocketServerOptions, answering: { count: number }): void {
  const closed = new AbortController()
  const peer: Peer = { send: (message) => send(socket, message), closed: closed.signal }
  const split = createLineSplitter(MAX_REQUEST_BYTES, (line) => {
    answering.count += 1
    void answer(line, options, peer).finally(() => {
      answering.count -= 1
    })
  })
  socket.on('data', (chunk: Buffer) => {
    try {
      split(chunk)
    } catch (error) {
      // A peer that sends no lines is not one of ours.
      options.onProblem(error)
      socket.destroy()
    }
  })
  // A peer may vanish at any time; what it asked for goes on without it.
  socket.on('error', () => socket.destroy())
  socket.once('close', () => closed.abort())
}

async function answer(line: string, options: SocketServerOptions, peer: Peer): Promise<void> {
  let id: number | null = null
  try {
    const parsed = parseRequest(line)
    id = parsed.id
    peer.send({ id, ok: true, result: await options.handle(parsed.request, peer) })
  } catch (error) {
    // An envelope is built from JSON values only.
    peer.send({ id, ok: false, error: toEnvelope(error).error as unknown as JsonObject })
  }
}

function send(socket: Socket, message: JsonObject): boolean {
  if (socket.destroyed) return false
  if (socket.writableLength > MAX_BACKLOG_BYTES) {
    socket.destroy()
    return false
  }
  socket.write(`${JSON.stringify(message)}\n`)
  return true
}
