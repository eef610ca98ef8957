import type { LookupFunction } from 'node:net'
import { WebSocket } from 'ws'
import type { JsonObject } from '../../../src/json.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import type { Sink } from '../../../src/primitives/http-client/contract.ts'
import { pinnedLookup, resolveTarget } from '../../../src/primitives/network/guarded-lookup.ts'
import { describeTarget, targetOfUrl } from '../../../src/primitives/network/host.ts'
import type { Lookup } from '../../../src/primitives/network/lookup.ts'
import type { Grant, NetworkPolicy } from '../../../src/primitives/sandbox/contract.ts'

export const __tool_type__ = 'sink'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'sinks'
export const __description__ =
  'Sends the payload of every event as a WebSocket text message, and keeps events over a lost connection.'
/** Asked for where a caller shapes the destination; one that stands in a signed file is its owner's. */
export const __requires__ = ['net.websocket'] as const
export const PARAMETERS: JsonObject = {
  type: 'object',
  properties: {
    url: { type: 'string', minLength: 1, description: 'ws or wss URL.' },
    reconnect_attempts: {
      type: 'integer',
      minimum: 0,
      maximum: 100,
      default: 3,
      description: 'In a row, after 0.5, 1, 2, … seconds.',
    },
    buffer_on_disconnect: {
      type: 'boolean',
      default: true,
      description: 'Keep events until the connection is back; otherwise they are refused.',
    },
    buffer_max_size: {
      type: 'integer',
      minimum: 1,
      maximum: 1000000,
      default: 1000,
      description: 'Most events kept without a connection.',
    },
  },
  required: ['url'],
  additionalProperties: false,
}

interface WebSocketSinkOptions {
  readonly url: string
  readonly reconnect_attempts?: number
  readonly buffer_on_disconnect?: boolean
  readonly buffer_max_size?: number
}

const FIRST_BACKOFF_MS = 500
const CONNECT_TIMEOUT_MS = 10_000
/** Bytes on their way to the peer before writers are asked to wait. */
const HIGH_WATER_BYTES = 1024 * 1024
/** How long `close` waits for events that are kept: three attempts to reconnect fit in. A peer that reads nothing must not hold the process. */
const DRAIN_TIMEOUT_MS = 4000
const CLOSE_TIMEOUT_MS = 1000

interface WebSocketSinkContext {
  readonly signal?: AbortSignal
  /** Given where the caller shaped the destination: only what it allows is connected to. Absent for one of a signed file. */
  readonly grant?: Pick<Grant, 'network' | 'isLive'>
  /** Default: the system's resolver. */
  readonly lookup?: Lookup
}

/**
 * Connects in the background and makes the sink.
 *
 * - Under a scoped grant every connection, the first and each later one, is checked before it is made.
 * - A message counts as sent when it was handed to the system; one that was not is sent again on the next connection, in order.
 * - `write` throws when the event cannot be kept: buffer full, no buffering wanted, or the attempts are used up.
 * - `close` waits for what is kept; it rejects with the number of events that never went out. It waits at most 4 s.
 */
export default async function createWebSocketSink(
  options: WebSocketSinkOptions,
  context: WebSocketSinkContext = {},
): Promise<Sink> {
  const checked = checkOptions(options)
  const admit = createAdmission(checked.url, context)
  const first = admit === null ? ANY_ADDRESS : await admit()
  if (first.kind === 'denied') throw first.error
  return new ReconnectingSink(checked, { signal: context.signal, admit, first })
}

type Admission =
  /** `lookup` gives the socket the addresses that were checked; absent: nothing was to be checked. */
  | { readonly kind: 'allowed'; readonly lookup?: LookupFunction }
  | { readonly kind: 'denied'; readonly error: KiwiError }
  | { readonly kind: 'failed'; readonly reason: string }

const ANY_ADDRESS: Admission = { kind: 'allowed' }

/** Null where every host may be connected to. */
function createAdmission(url: string, { grant, lookup, signal }: WebSocketSinkContext): (() => Promise<Admission>) | null {
  if (grant === undefined || grant.network.kind === 'open') return null
  if (grant.network.kind === 'none')
    return () => Promise.resolve(denied('ADDRESS_DENIED', url, 'This call was granted no network.'))
  const { policy } = grant.network
  return async () => {
    const answer = await admissionUnder(policy, url, { lookup, signal })
    // Asked last: the thread can have been cancelled while the name was looked up.
    return grant.isLive() ? answer : denied('PERMISSION_DENIED', url, 'The thread that asks may no longer act.')
  }
}

async function admissionUnder(
  policy: NetworkPolicy,
  url: string,
  { lookup, signal }: { readonly lookup: Lookup | undefined; readonly signal: AbortSignal | undefined },
): Promise<Admission> {
  const target = targetOfUrl(new URL(url), 'websocket')
  const resolved = await resolveTarget(target, {
    policy,
    timeoutMs: CONNECT_TIMEOUT_MS,
    ...(lookup === undefined ? {} : { lookup }),
    ...(signal === undefined ? {} : { signal }),
  })
  if (resolved.kind === 'allowed') return { kind: 'allowed', lookup: pinnedLookup(resolved.addresses) }
  if (resolved.kind === 'failed')
    return {
      kind: 'failed',
      reason: resolved.because === 'lookup' ? resolved.error.message : `the name lookup ended: ${resolved.because}`,
    }
  if (resolved.because !== 'scope') return denied('ADDRESS_DENIED', url, resolved.reason)
  return denied('PERMISSION_DENIED', url, resolved.reason, [`net.websocket "${describeTarget(target)}"`])
}

function denied(
  code: 'ADDRESS_DENIED' | 'PERMISSION_DENIED',
  url: string,
  reason: string,
  missing: readonly string[] = [],
): Admission {
  const facts = missing.length === 0 ? {} : { facts: { missing } }
  return { kind: 'denied', error: new KiwiError(code, `not connected to ${describe(url)}: ${reason}`, facts) }
}

type Link =
  | { readonly state: 'checking' }
  | { readonly state: 'connecting'; readonly socket: WebSocket }
  | { readonly state: 'open'; readonly socket: WebSocket }
  | { readonly state: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly state: 'broken'; readonly reason: string }

class ReconnectingSink implements Sink {
  readonly #options: Required<WebSocketSinkOptions>
  readonly #signal: AbortSignal | undefined
  readonly #admit: (() => Promise<Admission>) | null
  readonly #onAbort = (): void => this.#giveUp('the call was aborted')
  #link: Link = { state: 'checking' }
  /** Events for which there was no connection yet, oldest first. */
  #kept: string[] = []
  /** Events handed to the socket and not yet to the system, oldest first. */
  #inFlight: string[] = []
  #failures = 0
  /** Told when something was sent or the link changed. */
  #waiters: (() => void)[] = []

  constructor(
    options: Required<WebSocketSinkOptions>,
    {
      signal,
      admit,
      first,
    }: { readonly signal: AbortSignal | undefined; readonly admit: (() => Promise<Admission>) | null; readonly first: Admission },
  ) {
    this.#options = options
    this.#signal = signal
    this.#admit = admit
    this.#proceed(first)
    if (signal?.aborted === true) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  write(event: { readonly data: string }): void | Promise<void> {
    if (this.#link.state === 'broken') throw new Error(`not connected to ${describe(this.#options.url)}: ${this.#link.reason}`)
    if (this.#link.state === 'open') {
      this.#send(this.#link.socket, event.data)
      return this.#link.socket.bufferedAmount > HIGH_WATER_BYTES ? this.#untilChange() : undefined
    }
    // Before the first connection events are always kept: nothing was lost yet.
    if (!this.#options.buffer_on_disconnect && this.#failures > 0)
      throw new Error(`no connection to ${describe(this.#options.url)}`)
    if (this.#kept.length >= this.#options.buffer_max_size) {
      throw new Error(
        `no connection to ${describe(this.#options.url)}, and \`buffer_max_size\` (${this.#options.buffer_max_size} events) is reached`,
      )
    }
    this.#kept.push(event.data)
  }

  async close(): Promise<void> {
    const timer = setTimeout(() => this.#giveUp('they were not sent in time'), DRAIN_TIMEOUT_MS)
    while (this.#kept.length + this.#inFlight.length > 0 && this.#link.state !== 'broken') await this.#untilChange()
    clearTimeout(timer)
    const link = this.#link
    const unsent = this.#kept.length + this.#inFlight.length
    this.#giveUp('closed')
    if (link.state === 'open') await closeSocket(link.socket)
    if (unsent > 0) {
      const reason = link.state === 'broken' ? link.reason : 'closed'
      throw new Error(`${unsent} events did not reach ${describe(this.#options.url)}: ${reason}`)
    }
  }

  async #connect(): Promise<void> {
    this.#link = { state: 'checking' }
    this.#proceed(this.#admit === null ? ANY_ADDRESS : await this.#admit())
  }

  #proceed(admission: Admission): void {
    // Closed or aborted while the check went on.
    if (this.#link.state !== 'checking') return
    if (admission.kind === 'denied') this.#giveUp(admission.error.message)
    else if (admission.kind === 'failed') this.#onClose(admission.reason)
    else this.#link = this.#open(admission.lookup)
    this.#wake()
  }

  #open(lookup: LookupFunction | undefined): Link {
    const socket = new WebSocket(this.#options.url, {
      ...(lookup === undefined ? {} : { lookup }),
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      perMessageDeflate: false,
      followRedirects: false,
      // Nothing is expected from the peer; a long message is its mistake.
      maxPayload: 64 * 1024,
    })
    let reason = 'the connection was closed'
    socket.on('error', (error) => {
      reason = error.message
    })
    socket.on('open', () => this.#onOpen(socket))
    socket.on('close', () => this.#onClose(reason))
    return { state: 'connecting', socket }
  }

  #onOpen(socket: WebSocket): void {
    if (this.#link.state === 'broken') return
    this.#link = { state: 'open', socket }
    const kept = this.#kept
    this.#kept = []
    for (const data of kept) this.#send(socket, data)
    this.#wake()
  }

  #send(socket: WebSocket, data: string): void {
    this.#inFlight.push(data)
    // Callbacks come in the order of the sends; after a loss they come with an error and the events are still in the list.
    socket.send(data, (error) => {
      if (error !== undefined && error !== null) return
      this.#inFlight.shift()
      this.#failures = 0
      this.#wake()
    })
  }

  #onClose(reason: string): void {
    if (this.#link.state === 'broken') return
    this.#kept = [...this.#inFlight, ...this.#kept]
    this.#inFlight = []
    if (this.#failures >= this.#options.reconnect_attempts)
      return this.#giveUp(`${reason} (after ${this.#failures} attempts to reconnect)`)
    const timer = setTimeout(() => void this.#connect(), FIRST_BACKOFF_MS * 2 ** this.#failures)
    this.#failures += 1
    this.#link = { state: 'waiting', timer }
    this.#wake()
  }

  #giveUp(reason: string): void {
    const link = this.#link
    if (link.state === 'broken') return
    this.#link = { state: 'broken', reason }
    this.#signal?.removeEventListener('abort', this.#onAbort)
    if (link.state === 'waiting') clearTimeout(link.timer)
    if (link.state === 'connecting' || (link.state === 'open' && reason !== 'closed')) link.socket.terminate()
    this.#wake()
  }

  #untilChange(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  #wake(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }
}

function closeSocket(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS)
    socket.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
    if (socket.readyState === WebSocket.CLOSED) {
      clearTimeout(timer)
      resolve()
    } else socket.close(1000)
  })
}

function checkOptions(options: WebSocketSinkOptions): Required<WebSocketSinkOptions> {
  const { url, reconnect_attempts: attempts = 3, buffer_on_disconnect: buffers = true, buffer_max_size: size = 1000 } = options
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !/^wss?:$/.test(parsed.protocol)) throw wrongOption('url', 'a ws:// or wss:// URL')
  if (!Number.isInteger(attempts) || attempts < 0 || attempts > 100)
    throw wrongOption('reconnect_attempts', 'a whole number from 0 to 100')
  if (typeof buffers !== 'boolean') throw wrongOption('buffer_on_disconnect', 'true or false')
  if (!Number.isInteger(size) || size < 1 || size > 1_000_000)
    throw wrongOption('buffer_max_size', 'a whole number from 1 to 1000000')
  return { url, reconnect_attempts: attempts, buffer_on_disconnect: buffers, buffer_max_size: size }
}

function wrongOption(name: string, expected: string): KiwiError {
  return new KiwiError('CONFIG_VALIDATION_ERROR', `websocket_sink: expected \`${name}\` to be ${expected}.`)
}

/** Without query and credentials, which can be secrets. */
function describe(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
