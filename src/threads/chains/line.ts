import { text, textOrNull } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import { getThread } from '../store/thread-rows.ts'
import type { ThreadRow } from '../threads-client.ts'

/**
 * The line of a thread: itself, those that handed their work on to it, and those it was handed on to. A line never forks: a thread hands
 * on once, in the transaction that ends it. Retries and forks are of the same chain, and lines of their own.
 */

/** The thread that has the work of this one now: itself, or the last it was handed on to. @throws {KiwiError} THREAD_NOT_FOUND */
export function newestOf(store: Store, threadId: string): ThreadRow {
  return getThread(store, newestInLine(store, threadId))
}

/** Like `newestOf`, its id only; the id itself for an unknown thread. */
export function newestInLine(store: Store, threadId: string): string {
  const find = store.statement('SELECT continued_by FROM threads WHERE thread_id = ?')
  for (let newest = threadId; ;) {
    const row = find.get(newest)
    const next = row === undefined ? null : textOrNull(row, 'continued_by')
    if (next === null) return newest
    newest = next
  }
}

const LINE_BEFORE = `
WITH RECURSIVE line(thread_id, place) AS (
  SELECT ?, 0
  UNION ALL
  SELECT t.continues_thread_id, line.place + 1 FROM line JOIN threads t ON t.thread_id = line.thread_id WHERE t.continues_how = 'handoff'
)
SELECT thread_id FROM line ORDER BY place DESC`

/** The line from its first thread, which was spawned, to this one. */
export function lineUpTo(store: Store, threadId: string): readonly string[] {
  return store
    .statement(LINE_BEFORE)
    .all(threadId)
    .map((row) => text(row, 'thread_id'))
}

/** The thread of the line that its parent spawned and knows. */
export function firstInLine(store: Store, threadId: string): string {
  return lineUpTo(store, threadId)[0] ?? threadId
}
