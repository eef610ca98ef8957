import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { KiwiError } from '../kernel/errors.ts'
import type { McpServing } from '../mcp/contract.ts'
import { SERVE_LIMITS, type ServeLimits } from './limits.ts'
import { createMcpEndpoint } from './mcp-endpoint.ts'
import { withinMs } from './within.ts'
import { refuse, type Refusal } from './refusal.ts'
import { bearsToken, placeProblem } from './request-guards.ts'

/** Reaching this server from another machine is a matter of ssh, which knows who is asking. */
export type LoopbackAddress = '127.0.0.1' | '::1'

export interface McpHttpOptions {
  /** Stays the caller's: closing the server does not close it. */
  readonly serving: Pick<McpServing, 'factory' | 'onResourceUpdated' | 'onResourceListChanged'>
  /** 0 for any that is free. */
  readonly port: number
  /** Default 127.0.0.1. */
  readonly host?: LoopbackAddress
  /**
   * What clients must send as `Authorization: Bearer`. A function is asked at each request, so that a new token holds at once; when it throws, nobody is let
   * in. Null lets everybody in, which is for tests of a service that holds nothing.
   */
  readonly token: string | (() => string) | null
  readonly limits?: Partial<ServeLimits>
  /** What went wrong behind an answer. Clients that hold the token cause most of it. */
  readonly onError?: (error: Error) => void
}

export interface McpHttpServer {
  /** Of the MCP endpoint: `http://127.0.0.1:PORT/mcp`. */
  readonly url: string
  readonly port: number
  /** Takes no more requests, gives running calls a moment, aborts them, and closes every connection. */
  close(): Promise<void>
}

/**
 * Serves MCP over HTTP on loopback, at `/mcp`, in both eras.
 *
 * @throws {KiwiError} EXECUTION_FAILED when the address cannot be had; INVALID_REQUEST for one that is not loopback.
 */
export async function serveMcpHttp(options: McpHttpOptions): Promise<McpHttpServer> {
  const { serving, host = '127.0.0.1', onError = () => undefined } = options
  if (host !== '127.0.0.1' && host !== '::1')
    throw new KiwiError('INVALID_REQUEST', `The server listens on 127.0.0.1 or ::1 only, not on ${JSON.stringify(host)}.`)
  const limits: ServeLimits = { ...SERVE_LIMITS, ...options.limits }
  const endpoint = createMcpEndpoint({ serving, limits, onError })
  const state = { isClosing: false }
  const unfinished = new Set<Promise<unknown>>()
  const watch = watchToken(options.token)
  const server = createHttpServer(limits, (request, response) => {
    const finished = new Promise<void>((resolve) => response.once('close', resolve))
    unfinished.add(finished)
    response.once('close', () => {
      unfinished.delete(finished)
      watch.delete(response)
    })
    response.on('error', onError)
    const refusal = state.isClosing ? CLOSING : refusalOf(request, watch.token, onError)
    if (refusal !== null) return refuse(request, response, refusal)
    watch.add(response)
    void endpoint.handle(request, response)
  })
  const port = await listen(server, { host, port: options.port })
  const checking = setInterval(() => watch.endRevoked(), limits.tokenCheckMs).unref()
  return {
    url: `http://${host === '::1' ? '[::1]' : host}:${port}${MCP_PATH}`,
    port,
    async close() {
      state.isClosing = true
      clearInterval(checking)
      const closed = once(server, 'close')
      server.close()
      await endpoint.close()
      await withinMs(FLUSH_MS, Promise.allSettled(unfinished))
      server.closeAllConnections()
      await closed
    },
  }
}

const MCP_PATH = '/mcp'
/** For answers that are written and not yet sent. */
const FLUSH_MS = 500

/** Why a request is not let in; null when it is. The one place that decides by address, token and path. */
function refusalOf(request: IncomingMessage, token: McpHttpOptions['token'], onError: (error: Error) => void): Refusal | null {
  const problem = placeProblem(request)
  if (problem !== null) return { status: 403, message: problem }
  const [path] = (request.url ?? '').split('?', 1)
  if (path !== MCP_PATH) return { status: 404, message: `There is nothing here. MCP is served at ${MCP_PATH}.` }
  if (token === null) return null
  try {
    return bearsToken(request, typeof token === 'string' ? token : token()) ? null : UNAUTHORIZED
  } catch (error) {
    onError(error instanceof Error ? error : new Error(String(error)))
    return NO_TOKEN
  }
}

const UNAUTHORIZED: Refusal = {
  status: 401,
  message: 'The token of this server is needed: Authorization: Bearer TOKEN. `kiwi serve token` names the file that holds it.',
  headers: { 'www-authenticate': 'Bearer realm="kiwi"' },
}
const NO_TOKEN: Refusal = { status: 503, message: 'The token of this server cannot be read; its own output says why.' }
const CLOSING: Refusal = { status: 503, message: 'The server is closing.', headers: { connection: 'close', 'retry-after': '5' } }

/** A stream may last for days, but only as long as its token holds: one that was replaced may have been stolen. */
interface TokenWatch {
  /** The token as it is now. */
  readonly token: McpHttpOptions['token']
  /** Remembers by which token, the last that was asked for, this answer is given. */
  add(response: ServerResponse): void
  delete(response: ServerResponse): void
  /** Cuts off the answers that are given by another token than that of now. */
  endRevoked(): void
}

function watchToken(token: McpHttpOptions['token']): TokenWatch {
  const open = new Map<ServerResponse, string | null>()
  let last: string | null = null
  const ask = (read: () => string): string => {
    last = null
    last = read()
    return last
  }
  return {
    token: typeof token === 'function' ? () => ask(token) : token,
    add: (response) => void open.set(response, last),
    delete: (response) => void open.delete(response),
    endRevoked() {
      if (typeof token !== 'function' || open.size === 0) return
      try {
        ask(token)
      } catch {
        // Nobody is let in then; whoever asks next is told why.
      }
      for (const [response, given] of open) if (given !== last) response.destroy()
    },
  }
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void

function createHttpServer(limits: ServeLimits, listener: Listener): Server {
  const server = createServer(
    {
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: Math.min(1000, limits.headersTimeoutMs),
      keepAliveTimeout: 30_000,
      maxHeaderSize: 16 * 1024,
      noDelay: true,
    },
    (request, response) => {
      response.setHeader('cache-control', 'no-store')
      response.setHeader('x-content-type-options', 'nosniff')
      listener(request, response)
    },
  )
  server.maxConnections = limits.maxConnections
  server.timeout = limits.socketIdleMs
  return server
}

async function listen(server: Server, address: { readonly host: string; readonly port: number }): Promise<number> {
  try {
    // `once` before `listen`, which throws for a number that is no port.
    const listening = once(server, 'listening')
    server.listen(address)
    await listening
  } catch (error) {
    throw listenError(error, address.port)
  }
  const bound = server.address()
  return typeof bound === 'object' && bound !== null ? bound.port : address.port
}

function listenError(error: unknown, port: number): KiwiError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE')
    return new KiwiError('EXECUTION_FAILED', `Port ${port} is in use by another program, perhaps another kiwi serve.`, {
      error,
      suggestion: 'Choose another port with --port, or 0 for any that is free.',
    })
  return new KiwiError('EXECUTION_FAILED', `Listening on port ${port} failed: ${String(code ?? error)}.`, {
    error,
    suggestion: 'Choose another port with --port.',
  })
}
