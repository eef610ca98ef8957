/**
 * Sees which threads of a project change. One watch for everybody who listens; it looks only while somebody does, and reads rows only when
 * the registry was written to.
 */
import type { ThreadRow, ThreadsClient } from '../threads/threads-client.ts'

export interface ThreadChanges {
  /** Threads whose row changed or whose log grew, new ones too. */
  readonly updated: readonly string[]
  readonly hasNew: boolean
  /** Questions of threads were put, answered or closed. */
  readonly questions: boolean
}

export interface ThreadWatch {
  /** Told of everything that happens from now on. Gives the function that ends it. */
  listen(listener: (changes: ThreadChanges) => void): () => void
  close(): void
}

export interface ThreadWatchOptions {
  readonly threads: () => Promise<ThreadsClient>
  readonly everyMs?: number
}

const EVERY_MS = 500
/** Rows of one look. Only when all of them changed since the last one, more are read. */
const FEW_ROWS = 50
const MANY_ROWS = 1_000
const LATE_COMMIT_MS = 2_000

export function createThreadWatch({ threads, everyMs = EVERY_MS }: ThreadWatchOptions): ThreadWatch {
  const listeners = new Set<(changes: ThreadChanges) => void>()
  let stop: (() => void) | null = null

  function start(): () => void {
    const since = before(new Date().toISOString())
    const state: WatchState = { since, seen: new Map(), newest: null, questions: null, version: null }
    let timer: NodeJS.Timeout | null = null
    let isStopped = false
    const look = async (): Promise<void> => {
      try {
        const changes = changesOf(await threads(), state)
        if (!isStopped && changes !== null) for (const listener of listeners) listener(changes)
      } catch {
        // A registry that cannot be read now may be so at the next look; whoever reads a thread is told why.
      }
      if (!isStopped) timer = setTimeout(() => void look(), everyMs).unref()
    }
    void look()
    return () => {
      isStopped = true
      if (timer !== null) clearTimeout(timer)
    }
  }

  return {
    listen(listener) {
      // Each has its own entry, so that one function may listen twice.
      const entry = (changes: ThreadChanges): void => listener(changes)
      listeners.add(entry)
      stop ??= start()
      return () => {
        listeners.delete(entry)
        if (listeners.size > 0) return
        stop?.()
        stop = null
      }
    },
    close() {
      listeners.clear()
      stop?.()
      stop = null
    },
  }
}

interface WatchState {
  /** Rows that changed before this time are not looked at. */
  since: string
  /** What was told of the others. */
  seen: ReadonlyMap<string, string>
  /** The newest event at the last look: a tool that runs for long logs events while its thread's row stays as it is. */
  newest: number | null
  /** Those that were open; null before the first look. They also close by time alone, when nobody writes anything. */
  questions: { readonly ids: string; readonly firstEndsAt: string } | null
  version: string | null
}

/** What changed since the last look; null: nothing. */
function changesOf(threads: ThreadsClient, state: WatchState): ThreadChanges | null {
  const version = threads.version()
  const now = new Date().toISOString()
  if (version === state.version && (state.questions === null || now < state.questions.firstEndsAt)) return null
  const questions = questionsNow(threads)
  const isOtherThanBefore = state.questions !== null && state.questions.ids !== questions.ids
  const recent = changedSince(threads, state.since)
  const rows = recent.filter((row) => state.seen.get(row.thread_id) !== fingerprint(row))
  const hasNew = rows.some((row) => row.created_at >= state.since && !state.seen.has(row.thread_id))
  const [first] = recent
  const horizon = first === undefined ? state.since : before(first.updated_at)
  if (horizon > state.since) state.since = horizon
  state.seen = new Map(recent.map((row) => [row.thread_id, fingerprint(row)]))
  const updated = new Set([...rows.map((row) => row.thread_id), ...loggedSinceLastLook(threads, state)])
  // Remembered only now: a look that failed is made again.
  state.version = version
  state.questions = questions
  return updated.size === 0 && !isOtherThanBefore ? null : { updated: [...updated], hasNew, questions: isOtherThanBefore }
}

const MAX_QUESTIONS = 1_000
/** Later than every time. */
const NEVER = '~'

function questionsNow(threads: ThreadsClient): NonNullable<WatchState['questions']> {
  const open = threads.approvals.list({ status: 'pending', limit: MAX_QUESTIONS })
  const [firstEndsAt = NEVER] = open.map((row) => row.expires_at).toSorted()
  return { ids: JSON.stringify(open.map((row) => row.approval_id)), firstEndsAt }
}

function loggedSinceLastLook(threads: ThreadsClient, state: WatchState): readonly string[] {
  const { threadIds, newest } = threads.loggedSince(state.newest ?? Number.MAX_SAFE_INTEGER)
  state.newest = newest
  return threadIds
}

function changedSince(threads: ThreadsClient, since: string): readonly ThreadRow[] {
  const few = threads.list({ order_by: 'updated_at_desc', limit: FEW_ROWS })
  const rows =
    few.length < FEW_ROWS || few.some((row) => row.updated_at < since)
      ? few
      : threads.list({ order_by: 'updated_at_desc', limit: MANY_ROWS })
  return rows.filter((row) => row.updated_at >= since)
}

/** A row's time is taken before it is committed, together with others: one that is a little older may still come. */
function before(time: string): string {
  return new Date(Date.parse(time) - LATE_COMMIT_MS).toISOString()
}

function fingerprint(row: ThreadRow): string {
  return JSON.stringify([row.updated_at, row.status, row.turn, row.total_usage])
}
