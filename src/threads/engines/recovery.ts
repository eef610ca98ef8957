import type { Clock } from '../clock.ts'
import { text } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import type { Transcripts } from '../transcript/transcripts.ts'
import type { Leases } from './leases.ts'

export interface RecoveryOptions {
  readonly store: Store
  readonly leases: Leases
  readonly clock: Clock
  readonly transcripts: Transcripts | null
  /** True when the thread was taken up. */
  readonly wake: (threadId: string) => Promise<boolean>
  readonly onProblem: (threadId: string, error: unknown) => void
}

const UNFINISHED = "SELECT thread_id FROM threads WHERE status IN ('spawning','running','paused','waiting') ORDER BY registry_id"

const LEFT_BEHIND = `SELECT l.thread_id FROM leases l JOIN threads t ON t.thread_id = l.thread_id
  WHERE l.host_id IS NOT NULL AND t.status IN ('completed','error','cancelled')`

const WITH_WORK = `SELECT thread_id FROM threads t WHERE status IN ('spawning','running','paused','waiting') AND (status = 'spawning'
  OR EXISTS (SELECT 1 FROM signals s WHERE s.thread_id = t.thread_id AND s.applied_turn IS NULL)) ORDER BY registry_id`

/** Threads that something has been asked of: just spawned, or with a signal that was not applied. */
export function threadsWithWork(store: Store): readonly string[] {
  return store
    .statement(WITH_WORK)
    .all()
    .map((row) => text(row, 'thread_id'))
}

/** After a start: transcripts agree with the registry again, and every unfinished thread that no living host has goes on. */
export async function recoverThreads(options: RecoveryOptions): Promise<readonly string[]> {
  const { store, transcripts } = options
  await finishEnded(options)
  const threadIds = store
    .statement(UNFINISHED)
    .all()
    .map((row) => text(row, 'thread_id'))
  const recovered: string[] = []
  await Promise.all(
    threadIds.map(async (threadId) => {
      transcripts?.repair(threadId)
      // One thread that cannot be taken up does not keep the others from it.
      const taken = await options.wake(threadId).catch((error: unknown) => options.onProblem(threadId, error))
      if (taken === true) recovered.push(threadId)
    }),
  )
  return recovered
}

/** Threads that ended in a host that died before it had written their last transcript lines. */
async function finishEnded(options: RecoveryOptions): Promise<void> {
  const { store, leases, clock, transcripts } = options
  for (const row of store.statement(LEFT_BEHIND).all()) {
    const threadId = text(row, 'thread_id')
    const epoch = await store.commit(() => leases.take(threadId, clock.now()))
    if (epoch === null) continue
    transcripts?.repair(threadId)
    transcripts?.forget(threadId)
    await store.commit(() => leases.release(threadId, epoch))
  }
}
