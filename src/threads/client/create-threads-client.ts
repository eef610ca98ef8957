import { KiwiError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../json.ts'
import { isoTime } from '../clock.ts'
import type { Clock } from '../clock.ts'
import type { Signal } from '../engine.ts'
import { createLedger } from '../ledger/ledger.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { cancelBelow, insertSignal, isPending, markCancel } from '../signals/signals.ts'
import { assertSignal } from '../status.ts'
import { integer } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import { getThread, listEvents, listMessages, listThreads, threadsLoggedSince } from '../store/thread-rows.ts'
import type { ThreadsClient } from '../threads-client.ts'
import { createTokenLedger } from '../tokens/token-ledger.ts'
import { prepareEvent } from '../transcript/transcript-line.ts'
import { spawnThread } from './spawn.ts'
import { hasSettled, waitForThreads } from './wait.ts'

export interface ThreadsClientOptions {
  readonly projectPath: string
  /** Shared with an engine of this process, or the client's own. */
  readonly store: Store
  /** True closes the store with the client. */
  readonly ownsStore: boolean
  readonly clock: Clock
  /** Tells the living host, if there is one, that a thread of this caller's will come. */
  readonly announce?: (threadId: string) => Promise<void>
  /** Sees to it that a host takes the thread up, starting one when there is none: `engine.notify` inside a host, the socket outside. */
  readonly wake: (threadId: string) => Promise<void>
  /** Live messages of a thread until the signal aborts or the thread ends. */
  readonly watchLive: (threadId: string, onLive: (live: JsonObject) => void, signal: AbortSignal) => Promise<void>
}

const MAX_PAGE = 10_000

export function createThreadsClient(options: ThreadsClientOptions): ThreadsClient {
  const { store, clock } = options
  const ledger = createLedger(store)

  async function wake(threadId: string): Promise<void> {
    try {
      await options.wake(threadId)
    } catch (error) {
      throw hostUnavailable(threadId, error)
    }
  }

  return {
    projectPath: options.projectPath,
    async spawn(request) {
      // Before the row: a host that finds it by itself must already know whose thread it is.
      if (options.announce !== undefined) await options.announce(request.threadId)
      const receipt = await spawnThread({ store, ledger, clock, projectPath: options.projectPath }, request)
      await wake(request.threadId)
      return receipt
    },
    get: (threadId) => getThread(store, threadId),
    list: (query = {}) => listThreads(store, query),
    events(threadId, range = {}) {
      getThread(store, threadId)
      const last = range.last === undefined ? {} : { last: page(range.last) }
      const type = range.type === undefined ? {} : { type: range.type }
      return listEvents(store, threadId, { sinceSeq: range.sinceSeq ?? 0, limit: page(range.limit ?? 1_000), ...last, ...type })
    },
    loggedSince: (eventId) => threadsLoggedSince(store, eventId),
    messages(threadId, range = {}) {
      getThread(store, threadId)
      return listMessages(store, threadId, { sinceSeq: range.sinceSeq ?? 0, limit: page(range.limit ?? 1_000) })
    },
    async signal(threadId, signal) {
      getThread(store, threadId)
      const durability = DURABLE.has(signal.kind) ? 'full' : 'normal'
      const touched = await store.commit(() => writeSignal({ store, ledger, clock }, threadId, signal), { durability })
      // The thread itself first: it starts the host, if there is none, and the ones below then find it.
      await wake(threadId)
      await Promise.all(touched.slice(1).map(wake))
    },
    async logEvent(threadId, type, payload) {
      getThread(store, threadId)
      const seq = await store.commit(() => writeEvent(store, { threadId, type, payload, nowIso: isoTime(clock.now()) }))
      await wake(threadId)
      return seq
    },
    async wait(threadIds, waitOptions) {
      // Nothing moves without a host: one that was killed is started again by whoever waits for its threads.
      const moving = threadIds.filter((threadId) => !hasSettled(getThread(store, threadId)))
      for (const threadId of moving) await wake(threadId)
      return waitForThreads(store, threadIds, waitOptions)
    },
    async watch(threadId, onLive, signal) {
      getThread(store, threadId)
      await options.watchLive(threadId, onLive, signal)
    },
    version: () => store.version(),
    tokens: createTokenLedger(store),
    close() {
      if (options.ownsStore) void store.close()
    },
  }
}

const DURABLE: ReadonlySet<Signal['kind']> = new Set(['cancel', 'resume', 'budget', 'approval'])

/** In one transaction: the row, its intent for everything below, its money. Gives the threads that must hear of it. */
function writeSignal(
  context: { readonly store: Store; readonly ledger: Ledger; readonly clock: Clock },
  threadId: string,
  signal: Signal,
): readonly string[] {
  const { store, ledger, clock } = context
  const known = store.statement('SELECT 1 AS known FROM signals WHERE thread_id = ? AND signal_id = ?').get(threadId, signal.id)
  if (known !== undefined) return [threadId]
  const { status } = getThread(store, threadId)
  const endsPause = signal.kind === 'resume' && status !== 'waiting' && isPending(store, threadId, 'pause')
  if (!endsPause) assertSignal(threadId, status, signal.kind)
  insertSignal(store, threadId, signal, clock.now())
  if (signal.kind === 'resume' || signal.kind === 'budget') addBudget(ledger, threadId, signal.body)
  if (signal.kind !== 'cancel') return [threadId]
  markCancel(store, threadId, signal)
  return [threadId, ...cancelBelow(store, threadId, signal, clock.now())]
}

function addBudget(ledger: Ledger, threadId: string, body: JsonObject): void {
  const { add_usd_nano: nano, add_usd: usd } = body
  if (typeof nano === 'number') ledger.grant(threadId, nano)
  else if (typeof usd === 'number') ledger.grant(threadId, Math.round(usd * 1e9))
}

const INSERT_EVENT = `INSERT INTO thread_events (thread_id, seq, ts, event_type, payload_json, line_json)
  SELECT ?1, COALESCE(MAX(seq), 0) + 1, ?2, ?3, ?4, NULL FROM thread_events WHERE thread_id = ?1 RETURNING seq`

function writeEvent(
  store: Store,
  event: { readonly threadId: string; readonly type: string; readonly payload: JsonObject; readonly nowIso: string },
): number {
  store.touch()
  const row = store.statement(INSERT_EVENT).get(event.threadId, event.nowIso, event.type, prepareEvent(event, null).payloadJson)
  if (row === undefined) throw new KiwiError('INTERNAL', `The event ${event.type} of thread ${event.threadId} was not written.`)
  return integer(row, 'seq')
}

function page(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE) return limit
  throw new KiwiError('INVALID_REQUEST', `Expected a number of rows from 1 to ${MAX_PAGE}, got ${limit}.`)
}

function hostUnavailable(threadId: string, error: unknown): KiwiError {
  const why = error instanceof Error ? error.message : String(error)
  return new KiwiError(
    'HOST_UNAVAILABLE',
    `The registry has what was asked of thread ${threadId}, but no host could be reached or started to do it: ${why}`,
    {
      facts: { thread_id: threadId },
      retryable: true,
      suggestion: 'Start a host with "kiwi host run"; it finds the thread by itself. Its log says why it did not start.',
      error,
    },
  )
}
