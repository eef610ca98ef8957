import type { IncomingMessage } from 'node:http'
import type { NetworkGrant } from '../sandbox/contract.ts'
import type { Lookup } from '../network/lookup.ts'
import { contentType } from './answer.ts'
import { openBody } from './body-stream.ts'
import type { HttpError, HttpErrorCode } from './contract.ts'
import { createConnectionPool, openExchange } from './exchange.ts'
import type { ConnectionPool, OutgoingRequest } from './exchange.ts'
import { describeRequest, failure } from './failure.ts'
import { createLifeline } from './lifeline.ts'
import type { Lifeline } from './lifeline.ts'
import { createNetworkGuard } from './network-guard.ts'
import type { NetworkGuard } from './network-guard.ts'
import { nextHop } from './redirect.ts'

/** Durations are milliseconds, sizes bytes. */
export interface GuardedFetchOptions {
  /** Which hosts may be asked, checked before every request and every redirect; undefined is none. */
  readonly network: NetworkGrant | undefined
  /** Asked again before every request; false refuses it. */
  readonly isLive?: (() => boolean) | undefined
  /** How names are looked up under a scoped grant. Default: the system's resolver. */
  readonly lookup?: Lookup
  /** Name lookup, TCP and TLS. Default 10,000. */
  readonly connectMs?: number
  /** From the sent request to the head of the answer. Default 120,000. */
  readonly firstByteMs?: number
  /** Between two pieces of a body that somebody waits for. Default 60,000. Streams of events may be silent for as long as they like. */
  readonly idleMs?: number
  /** Decoded bytes of one answer. Default 10 MiB. A stream of events has no such end: whoever reads it bounds its events. */
  readonly maxBodyBytes?: number
}

/** Why a request of a guarded fetch failed. */
export class GuardedFetchError extends Error {
  override readonly name = 'GuardedFetchError'
  readonly code: HttpErrorCode
  readonly retryable: boolean
  readonly failure: HttpError

  constructor(cause: HttpError) {
    super(cause.message)
    this.code = cause.code
    this.retryable = cause.retryable
    this.failure = cause
  }
}

export interface GuardedFetch {
  /**
   * `fetch` as the WHATWG describes it, for `http` and `https` and text bodies: `redirect` is `follow` (at most 5 hops, credentials stay with their
   * origin), `manual` (the redirect itself is the answer) or `error`. The body is read from the connection only as far as it is asked for.
   *
   * An abort rejects with the signal's reason.
   *
   * @throws {GuardedFetchError}
   */
  readonly fetch: (url: string | URL, init?: RequestInit) => Promise<Response>
  /** Closes the kept connections. */
  close(): void
}

const MAX_REDIRECTS = 5
/** setTimeout fires at once beyond this. */
const FAR_MS = 2_147_483_647
const BODYLESS_STATUSES: ReadonlySet<number> = new Set([204, 205, 304])

/** A fetch with connections of its own, all of them made under one grant. */
export function createGuardedFetch(options: GuardedFetchOptions): GuardedFetch {
  const network = options.network ?? { kind: 'none' }
  const connectMs = options.connectMs ?? 10_000
  const parts: FetchParts = {
    pool: createConnectionPool(true),
    guard: createNetworkGuard(network, { isLive: options.isLive, lookup: options.lookup, timeoutMs: connectMs }),
    isLive: options.isLive ?? (() => true),
    timeouts: {
      connectMs,
      firstByteMs: Math.min(options.firstByteMs ?? 120_000, FAR_MS),
      betweenBytesMs: Math.min(options.idleMs ?? 60_000, FAR_MS),
      totalMs: Infinity,
    },
    maxBodyBytes: options.maxBodyBytes ?? 10 * 1024 * 1024,
  }
  return {
    fetch: async (url, init = {}) => await run(readRequest(url, init), init, parts),
    close() {
      for (const agent of [parts.pool.http, parts.pool.https]) agent.destroy()
    },
  }
}

interface FetchParts {
  readonly pool: ConnectionPool
  readonly guard: NetworkGuard | null
  readonly isLive: () => boolean
  readonly timeouts: Parameters<typeof createLifeline>[0]['timeouts']
  readonly maxBodyBytes: number
}

async function run(first: OutgoingRequest, init: RequestInit, parts: FetchParts): Promise<Response> {
  const redirect = init.redirect ?? 'follow'
  const signal = init.signal ?? undefined
  let outgoing = first
  for (let hops = 0; ; hops += 1) {
    signal?.throwIfAborted()
    const { lifeline, response } = await ask(outgoing, signal, parts)
    const next = redirect === 'manual' ? null : nextHop(outgoing, response)
    if (next === null) return toResponse(response, { outgoing, lifeline, signal, hops, maxBodyBytes: parts.maxBodyBytes })
    lifeline.end()
    response.destroy()
    if (redirect === 'error' || hops === MAX_REDIRECTS) throw new GuardedFetchError(unfollowed(outgoing, redirect))
    outgoing = { ...next, name: describeRequest(next.method, next.url) }
  }
}

/** One request, up to the head of its answer. */
async function ask(
  outgoing: OutgoingRequest,
  signal: AbortSignal | undefined,
  { pool, guard, isLive, timeouts }: FetchParts,
): Promise<{ lifeline: Lifeline; response: IncomingMessage }> {
  const { name } = outgoing
  // A grant of every host has no guard that would ask.
  if (!isLive()) throw new GuardedFetchError(failure('ABORTED', `${name}: not sent. The thread that asks may no longer act.`))
  const lifeline = createLifeline({ request: name, timeouts, deadlineMs: Infinity, signal })
  const opened = await openExchange(outgoing, { pool, lifeline, guard })
  if (opened.kind === 'answered') {
    lifeline.rest()
    return { lifeline, response: opened.response }
  }
  lifeline.end()
  signal?.throwIfAborted()
  throw new GuardedFetchError(opened.error)
}

function unfollowed({ name }: OutgoingRequest, redirect: string): HttpError {
  const why = redirect === 'error' ? 'redirects are not followed here' : `more than ${MAX_REDIRECTS} redirects`
  return failure('INVALID_RESPONSE', `${name}: the server answered with a redirect, and ${why}. Use the final URL.`)
}

function readRequest(input: string | URL, init: RequestInit): OutgoingRequest {
  const url = new URL(input)
  url.hash = ''
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new TypeError(`Expected an http or https URL, got ${url.protocol}//`)
  if (url.username !== '' || url.password !== '') throw new TypeError('Expected a URL without a user name and a password.')
  const { body } = init
  if (body !== undefined && body !== null && typeof body !== 'string')
    throw new TypeError('Expected a text as the body of a request.')
  const headers = Object.fromEntries(new Headers(init.headers))
  const method = (init.method ?? 'GET').toUpperCase()
  return {
    method,
    url,
    headers: { 'accept-encoding': 'identity', 'user-agent': 'kiwi-mcp', ...headers },
    body: body ?? null,
    name: describeRequest(method, url),
  }
}

interface ResponseParts {
  readonly outgoing: OutgoingRequest
  readonly lifeline: Lifeline
  readonly signal: AbortSignal | undefined
  readonly hops: number
  readonly maxBodyBytes: number
}

function toResponse(response: IncomingMessage, parts: ResponseParts): Response {
  const { outgoing, lifeline, signal } = parts
  const status = response.statusCode ?? 0
  const head = { status, statusText: response.statusMessage ?? '', headers: headersOf(response) }
  if (outgoing.method === 'HEAD' || BODYLESS_STATUSES.has(status)) {
    lifeline.end()
    response.resume()
    return describe(new Response(null, head), parts)
  }
  if (status < 200 || status > 599) {
    lifeline.end()
    response.destroy()
    throw new GuardedFetchError(failure('INVALID_RESPONSE', `${outgoing.name}: the server answered with the status ${status}.`))
  }
  const isEventStream = contentType(response).startsWith('text/event-stream')
  const body = openBody(response, {
    name: outgoing.name,
    lifeline,
    maxBytes: isEventStream ? Infinity : parts.maxBodyBytes,
    mayBeSilent: isEventStream,
    // What an abort rejects with is the caller's own reason.
    errorOf: (error) => (signal?.aborted === true ? signal.reason : new GuardedFetchError(error)),
  })
  return describe(new Response(body, head), parts)
}

/** `url` and `redirected` cannot be said to the constructor. */
function describe(response: Response, { outgoing, hops }: ResponseParts): Response {
  return Object.defineProperties(response, { url: { value: outgoing.url.href }, redirected: { value: hops > 0 } })
}

function headersOf(response: IncomingMessage): Headers {
  const headers = new Headers()
  for (const [name, values] of Object.entries(response.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value)
  }
  // The body is decoded here, so that neither holds any more.
  headers.delete('content-encoding')
  headers.delete('content-length')
  return headers
}
