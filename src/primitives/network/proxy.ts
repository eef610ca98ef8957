/**
 * The only way to the network for a sandboxed process: an HTTP proxy on a unix socket, run by the host.
 *
 * P1. Nothing is connected to before `resolveTarget` allowed it, and then only the addresses that were judged.
 * P2. Each request is checked on its own, also on a connection that was used before; connections to servers are never kept.
 * P3. Every connection has an idle and a total time, and ends with the proxy. When the caller may no longer act, all of them end.
 */
import { chmod } from 'node:fs/promises'
import * as http from 'node:http'
import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { NetworkPolicy } from '../sandbox/contract.ts'
import type { Lookup } from './lookup.ts'
import { closed, createDecision, readAbsoluteForm, readAuthority } from './proxy-passage.ts'
import type { Decide } from './proxy-passage.ts'
import { forwardRequest, refuseRequest } from './proxy-request.ts'
import { openTunnel, refuseTunnel } from './proxy-tunnel.ts'

export interface ProxyOptions {
  readonly policy: NetworkPolicy
  /** Asked before each request, and twice a second while connections are open; false ends them all. */
  readonly isLive: () => boolean
  /** Must not exist yet, in a folder that is private to this user: the folder is the protection until the socket's own mode is set. */
  readonly socketPath: string
  readonly signal: AbortSignal
  /** Default: the system's resolver. */
  readonly lookup?: Lookup
  readonly timeoutsMs?: Partial<ProxyTimeouts>
}

export interface ProxyTimeouts {
  /** Name lookup and TCP, each. Default 10,000. */
  readonly connectMs: number
  /** Without a byte in either direction. Default 120,000. */
  readonly idleMs: number
  /** A client's connection, however busy. Default 1,800,000. */
  readonly totalMs: number
}

export interface NetworkProxy {
  /** Cuts every connection and removes the socket. Can be called again. */
  close(): Promise<void>
  /** `host` or `host:port` of what the policy refused, each once, oldest first, at most 100. */
  denied(): readonly string[]
}

const DEFAULT_TIMEOUTS_MS: ProxyTimeouts = { connectMs: 10_000, idleMs: 120_000, totalMs: 1_800_000 }
const MAX_CONNECTIONS = 64
const MAX_HEAD_BYTES = 16 * 1024
const HEAD_TIMEOUT_MS = 10_000
const LIFE_CHECK_MS = 500
const MAX_DENIED = 100

/**
 * Starts the proxy; resolves when it listens.
 *
 * @throws {Error} when the socket cannot be made: the path exists, is too long for a socket (about 100 bytes), or its folder is missing.
 */
export async function startProxy(options: ProxyOptions): Promise<NetworkProxy> {
  const { socketPath, signal, policy, isLive, lookup } = options
  signal.throwIfAborted()
  const timeouts = { ...DEFAULT_TIMEOUTS_MS, ...options.timeoutsMs }
  const denied = new Set<string>()
  const onDenied = (target: string): void => {
    if (denied.size < MAX_DENIED) denied.add(target)
  }
  const server = createServer(timeouts)
  const clients = trackClients(server, timeouts.totalMs)
  serve(server, createDecision({ policy, isLive, lookup, timeoutMs: timeouts.connectMs, onDenied }), timeouts)
  await listen(server, socketPath)
  const lifeTimer = setInterval(() => {
    if (clients.size > 0 && !isLive()) cut(clients)
  }, LIFE_CHECK_MS)
  const shut = async (): Promise<void> => {
    clearInterval(lifeTimer)
    signal.removeEventListener('abort', onAbort)
    const ended = new Promise<void>((resolve) => server.close(() => resolve()))
    cut(clients)
    await ended
  }
  let closing: Promise<void> | null = null
  const close = (): Promise<void> => (closing ??= shut())
  const onAbort = (): void => void close()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await chmod(socketPath, 0o600)
    signal.throwIfAborted()
  } catch (error) {
    await close()
    throw error
  }
  return { close, denied: () => [...denied] }
}

function createServer({ idleMs, totalMs }: ProxyTimeouts): http.Server {
  const server = http.createServer({
    maxHeaderSize: MAX_HEAD_BYTES,
    headersTimeout: Math.min(HEAD_TIMEOUT_MS, totalMs),
    requestTimeout: totalMs,
    connectionsCheckingInterval: HEAD_TIMEOUT_MS / 2,
  })
  server.maxConnections = MAX_CONNECTIONS
  server.timeout = idleMs
  return server
}

// P3
function trackClients(server: http.Server, totalMs: number): ReadonlySet<Socket> {
  const clients = new Set<Socket>()
  server.on('connection', (client: Socket) => {
    clients.add(client)
    const timer = setTimeout(() => client.destroy(), totalMs)
    // A client that hangs up is nobody's failure.
    client.on('error', () => client.destroy())
    client.once('close', () => {
      clearTimeout(timer)
      clients.delete(client)
    })
  })
  return clients
}

function cut(clients: ReadonlySet<Socket>): void {
  for (const client of clients) client.destroy()
}

// P1, P2
function serve(server: http.Server, decide: Decide, timeouts: ProxyTimeouts): void {
  const onConnect = async (request: http.IncomingMessage, client: Duplex, head: Buffer): Promise<void> => {
    const target = readAuthority(request.url ?? '')
    if (target === null) return refuseTunnel(client, closed(403, 'CONNECT takes host:port.'))
    const passage = await decide(target, untilClosed(client))
    if (passage.kind === 'closed') refuseTunnel(client, passage)
    else openTunnel(client, passage, { head, ...timeouts })
  }
  const onRequest = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const asked = readAbsoluteForm(request.url ?? '')
    if (asked === null)
      return refuseRequest(
        response,
        closed(403, 'This proxy takes absolute http:// URLs without credentials, and CONNECT for https.'),
      )
    const passage = await decide(asked.target, untilClosed(response))
    if (passage.kind === 'closed') refuseRequest(response, passage)
    else forwardRequest(request, response, { url: asked.url, passage, timeouts })
  }
  server.on('connect', (request: http.IncomingMessage, client: Duplex, head: Buffer) => void onConnect(request, client, head))
  server.on('request', (request, response) => void onRequest(request, response))
}

/** Fires when the client is gone: nobody waits for the answer any more. */
function untilClosed(client: Duplex | http.ServerResponse): AbortSignal {
  const controller = new AbortController()
  client.once('close', () => controller.abort())
  return controller.signal
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}
