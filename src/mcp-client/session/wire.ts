import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client'
import { createGuardedFetch } from '../../primitives/http-client/guarded-fetch.ts'
import { readHeaders, readUrl } from '../../primitives/http-client/request-head.ts'
import { createConfigReader } from '../../primitives/http-client/config-reader.ts'
import type { ConfigIssue } from '../../primitives/http-client/config-reader.ts'
import type { OpenedProcessEnd } from '../../primitives/subprocess/contract.ts'
import { McpFailure } from '../contract.ts'
import { createCheckedFetch } from './checked-fetch.ts'
import type { FrameGuard } from './frame-guard.ts'
import type { HttpTarget, StdioTarget } from './target.ts'
import { createStdioTransport } from './stdio-transport.ts'
import type { Sdk } from './sdk.ts'

/** A transport all of whose messages pass the frame guard, and what it holds. */
export interface Wire {
  readonly transport: Transport
  /** How the server's process ended; null where there is none. */
  readonly processEnded: Promise<OpenedProcessEnd> | null
  /** Says goodbye where the protocol has a word for it. Never rejects. */
  farewell(): Promise<void>
  /** Ends everything at once. */
  cut(): void
  /** Resolves when nothing is left. Never rejects. */
  readonly release: () => Promise<void>
}

export interface WireOptions {
  readonly guard: FrameGuard
  readonly maxMessageBytes: number
  readonly connectTimeoutMs: number
}

const FAREWELL_MS = 2_000

export function openWire(target: HttpTarget | StdioTarget, sdk: Sdk, options: WireOptions): Wire {
  return target.kind === 'http' ? openHttp(target, sdk, options) : openStdio(target, options)
}

function openStdio(target: StdioTarget, { guard, maxMessageBytes }: WireOptions): Wire {
  const controller = new AbortController()
  const transport = createStdioTransport({ target, guard, maxMessageBytes, signal: controller.signal })
  tellGuard(transport, guard, () => undefined)
  return {
    transport,
    processEnded: transport.ended,
    farewell: () => Promise.resolve(),
    cut: () => controller.abort(),
    async release() {
      await transport.close().catch(() => undefined)
    },
  }
}

function openHttp(target: HttpTarget, sdk: Sdk, options: WireOptions): Wire {
  const { guard, maxMessageBytes, connectTimeoutMs } = options
  const { url, headers } = readTarget(target)
  const guarded = createGuardedFetch({
    network: target.network,
    isLive: target.isLive,
    connectMs: Math.min(connectTimeoutMs, 10_000),
    // The wait for an answer is measured by whoever asks: a tool may work for long before it says a word.
    firstByteMs: Infinity,
    maxBodyBytes: maxMessageBytes,
  })
  const lost = (id: string | number, cause: unknown): void => {
    const message = { jsonrpc: '2.0' as const, id, error: { code: LOST_CODE, message: 'The connection was lost.', data: cause } }
    transport.onmessage?.(message)
  }
  const checked = createCheckedFetch({
    fetch: guarded.fetch,
    guard,
    maxMessageBytes,
    sideTimeoutMs: connectTimeoutMs,
    onLost: lost,
  })
  const transport = new sdk.StreamableHTTPClientTransport(url, { fetch: checked.fetch, requestInit: { headers } })
  tellGuard(transport, guard, (id) => checked.giveUp(id))
  return {
    transport,
    processEnded: null,
    async farewell() {
      if (transport.sessionId === undefined) return
      const { promise: late, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, FAREWELL_MS)
      await Promise.race([transport.terminateSession().catch(() => undefined), late])
      clearTimeout(timer)
    },
    cut: () => guarded.close(),
    async release() {
      await transport.close().catch(() => undefined)
      guarded.close()
    },
  }
}

/** In an error that the wire itself hands to the client; its `data` is what happened, which no JSON can forge. */
const LOST_CODE = -32_000

/** The guard knows what was sent, and a request that is given up lets go of its connection. */
function tellGuard(transport: Transport, guard: FrameGuard, onGivenUp: (id: string | number) => void): void {
  const send = transport.send.bind(transport)
  transport.send = async (message, options) => {
    guard.sent(message)
    try {
      await send(message, options)
    } catch (error) {
      if ('method' in message && 'id' in message) guard.giveUp(message.id)
      throw error
    } finally {
      const cancelled = cancelledId(message)
      if (cancelled !== null) onGivenUp(cancelled)
    }
  }
}

function cancelledId(message: JSONRPCMessage): string | number | null {
  if (!('method' in message) || message.method !== 'notifications/cancelled') return null
  const id = message.params?.['requestId']
  return typeof id === 'string' || typeof id === 'number' ? id : null
}

/** @throws {McpFailure} CONFIG_VALIDATION_ERROR, which repeats no value: it may be a credential. */
function readTarget(target: HttpTarget): { readonly url: URL; readonly headers: Readonly<Record<string, string>> } {
  const issues: ConfigIssue[] = []
  const { auth } = target
  const url = readUrl(createConfigReader({ url: target.url }, '', issues), ['http:', 'https:'], issues)
  const headers = readHeaders({ ...target.headers }, issues)
  const credentials = auth === undefined || auth === null ? {} : readHeaders(headersOf(auth), issues)
  const [issue] = issues
  if (url !== null && issue === undefined) return { url, headers: { ...headers, ...credentials } }
  const where = issue === undefined ? 'The configuration' : `\`${issue.field}\``
  throw new McpFailure('CONFIG_VALIDATION_ERROR', `${where} ${issue?.error ?? 'is wrong'}.`, {
    detail: { field: issue?.field ?? 'url' },
  })
}

function headersOf(auth: NonNullable<HttpTarget['auth']>): Record<string, string> {
  return auth.type === 'bearer' ? { authorization: `Bearer ${auth.token}` } : { [auth.name]: auth.value }
}
