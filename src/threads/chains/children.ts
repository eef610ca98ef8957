import type { TurnContext } from '../engine.ts'
import { text, textOrNull } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import { statusAndReason } from '../store/thread-rows.ts'
import { lineUpTo, newestInLine } from './line.ts'

const SPAWNED_BY =
  "SELECT thread_id, continued_by FROM threads WHERE parent_thread_id = ? AND (continues_how IS NULL OR continues_how <> 'handoff') ORDER BY registry_id"

/** What a thread and those before it in its line have spawned, oldest first: each under the id it was spawned with, as its work stands now. */
export function childrenOf(store: Store, threadId: string): ReturnType<TurnContext['children']> {
  return lineUpTo(store, threadId).flatMap((parent) =>
    store
      .statement(SPAWNED_BY)
      .all(parent)
      .map((row) => {
        const childId = text(row, 'thread_id')
        const newest = textOrNull(row, 'continued_by') === null ? childId : newestInLine(store, childId)
        const { status, wait_reason: reason } = statusAndReason(store, newest)
        return { threadId: childId, status, waitReason: status === 'waiting' ? reason : null }
      }),
  )
}
