import { KiwiError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../json.ts'
import { APPROVAL_SIGNAL, createApprovals } from '../approvals/create-approvals.ts'
import { newestOf } from '../chains/line.ts'
import { isoTime } from '../clock.ts'
import type { Clock } from '../clock.ts'
import type { Signal } from '../engine.ts'
import { readStart } from '../engines/live-thread.ts'
import { createLedger } from '../ledger/ledger.ts'
import { writeSignal } from '../signals/write-signal.ts'
import { appendEvent } from '../store/append-event.ts'
import type { Store } from '../store/open-store.ts'
import { getThread, listEvents, listMessages, listThreads, threadNotFound, threadsLoggedSince } from '../store/thread-rows.ts'
import type { ThreadsClient } from '../threads-client.ts'
import { createTokenLedger } from '../tokens/token-ledger.ts'
import { spawnThread } from './spawn.ts'
import { stillMoving, waitForThreads } from './wait.ts'

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
      // What it goes on from has an event more.
      const earlier = request.continues?.threadId
      if (earlier !== undefined) await wake(earlier)
      return receipt
    },
    get: (threadId) => getThread(store, threadId),
    start(threadId) {
      const start = readStart(store, threadId)
      if (start === null) throw threadNotFound(threadId)
      return start
    },
    budget(threadId) {
      getThread(store, threadId)
      return ledger.view(threadId)
    },
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
      refuseAnswer(threadId, signal)
      const touched = await store.commit(() => writeSignal({ store, ledger, clock }, threadId, signal), { durability })
      // The thread itself first: it starts the host, if there is none, and the ones below then find it.
      await wake(threadId)
      await Promise.all(touched.slice(1).map(wake))
    },
    async logEvent(threadId, type, payload) {
      getThread(store, threadId)
      const seq = await store.commit(() => appendEvent(store, { threadId, type, payload, nowIso: isoTime(clock.now()) }))
      await wake(threadId)
      return seq
    },
    async wait(threadIds, waitOptions) {
      // Nothing moves without a host: one that was killed is started again by whoever waits for its threads.
      for (const threadId of stillMoving(store, threadIds)) await wake(threadId)
      return waitForThreads(store, threadIds, waitOptions)
    },
    async watch(threadId, onLive, signal) {
      getThread(store, threadId)
      await options.watchLive(threadId, onLive, signal)
    },
    version: () => store.version(),
    approvals: createApprovals({ store, ledger, clock, wake }),
    newestOf: (threadId) => newestOf(store, threadId),
    tokens: createTokenLedger(store),
    close() {
      if (options.ownsStore) void store.close()
    },
  }
}

const DURABLE: ReadonlySet<Signal['kind']> = new Set(['cancel', 'resume', 'budget', 'approval'])

/** An answer settles its question, and comes from nowhere else. @throws {KiwiError} INVALID_REQUEST */
function refuseAnswer(threadId: string, { id, kind, body }: Signal): void {
  if (!id.startsWith(APPROVAL_SIGNAL) && !(kind === 'approval' && body['approval_id'] !== undefined)) return
  throw new KiwiError('INVALID_REQUEST', `The signal ${id.slice(0, 256)} to thread ${threadId} would answer an approval.`, {
    suggestion: 'Answer the approval itself; its thread is told by that.',
  })
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
