import { setTimeout as delay } from 'node:timers/promises'
import { KiwiError } from '../../kernel/errors.ts'
import { isTerminal, needsPerson } from '../status.ts'
import type { Store } from '../store/open-store.ts'
import { getThread } from '../store/thread-rows.ts'
import type { ThreadRow } from '../threads-client.ts'

/** Half of the latency that a waiter may have. */
const POLL_MS = 50

/**
 * Resolves when every thread has ended or needs somebody, or after `timeoutMs`, with the rows as they are then. While nothing was
 * written to the registry, a poll is one look at its version.
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
  let rows = threadIds.map((threadId) => getThread(store, threadId))
  while (!rows.every(hasSettled)) {
    const left = deadline - performance.now()
    if (left <= 0) return rows
    await pause(Math.min(left, POLL_MS), options.signal)
    const now = store.version()
    if (now === version) continue
    version = now
    rows = threadIds.map((threadId) => getThread(store, threadId))
  }
  return rows
}

function hasSettled(row: ThreadRow): boolean {
  return isTerminal(row.status) || needsPerson(row.status, row.wait_reason)
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal })
  } catch (error) {
    throw new KiwiError('ABORTED', 'The wait for threads was stopped; the threads go on.', { error })
  }
}
