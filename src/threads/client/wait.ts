import { setTimeout as delay } from 'node:timers/promises'
import { KiwiError } from '../../kernel/errors.ts'
import { newestInLine, newestOf } from '../chains/line.ts'
import { pendingSignals } from '../signals/signals.ts'
import { isTerminal, needsPerson } from '../status.ts'
import type { Store } from '../store/open-store.ts'
import { statusAndReason } from '../store/thread-rows.ts'
import type { ThreadRow } from '../threads-client.ts'

/** Half of the latency that a waiter may have. */
const POLL_MS = 50

/**
 * Resolves when every thread has ended or needs somebody, or after `timeoutMs`, with the rows as they are then; work that was handed on is
 * waited for, and answered, where it is. While nothing was written to the registry, a poll is one look at its version.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND; ABORTED when the signal aborts.
 */
export async function waitForThreads(
  store: Store,
  threadIds: readonly string[],
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<readonly ThreadRow[]> {
  const deadline = performance.now() + options.timeoutMs
  let version = store.version()
  let open = stillMoving(store, threadIds)
  for (let left = options.timeoutMs; open.length > 0 && left > 0; left = deadline - performance.now()) {
    await pause(Math.min(left, POLL_MS), options.signal)
    const now = store.version()
    if (now === version) continue
    version = now
    // One that waits for a person may be set going again before the others have come to their end, so all of them are looked at.
    open = stillMoving(store, threadIds)
  }
  return threadIds.map((threadId) => newestOf(store, threadId))
}

/** Of each thread that has not settled, the one that has its work now. @throws {KiwiError} THREAD_NOT_FOUND */
export function stillMoving(store: Store, threadIds: readonly string[]): readonly string[] {
  return threadIds.map((threadId) => newestInLine(store, threadId)).filter((threadId) => !hasSettled(store, threadId))
}

/** Whether nothing happens to the thread any more unless somebody does something. What somebody has just done is still to happen. */
function hasSettled(store: Store, threadId: string): boolean {
  const { status, wait_reason: reason } = statusAndReason(store, threadId)
  return isTerminal(status) || (needsPerson(status, reason) && pendingSignals(store, threadId).length === 0)
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal })
  } catch (error) {
    throw new KiwiError('ABORTED', 'The wait for threads was stopped; the threads go on.', { error })
  }
}
