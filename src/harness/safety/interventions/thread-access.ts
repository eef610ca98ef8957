import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { ThreadRow, ThreadsClient } from '../../../threads/threads-client.ts'

/** Who calls a thread tool: a thread, by its id, or null for the operator (an MCP client, the CLI). */
export function callingThread({ __thread_id: threadId }: ExecutionContext): string | null {
  return threadId ?? null
}

/**
 * The row of a thread that the caller may act on. The operator may act on every thread, a thread on its own descendants only, and
 * with `orSelf` on itself.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND, or PERMISSION_DENIED with the facts thread_id, caller_thread_id.
 */
export function accessibleThread(
  threads: ThreadsClient,
  context: ExecutionContext,
  threadId: string,
  options: { readonly orSelf?: boolean } = {},
): ThreadRow {
  const row = threads.get(threadId)
  const caller = callingThread(context)
  if (caller === null || (options.orSelf === true && threadId === caller) || isDescendant(threads, row, caller)) return row
  throw new KiwiError(
    'PERMISSION_DENIED',
    `Thread ${caller} may not act on thread ${threadId}: it is not one of its descendants.`,
    {
      facts: { thread_id: threadId, caller_thread_id: caller, missing: ['a thread that this thread spawned'] },
      suggestion: 'Use the ids that thread_directive gave you.',
    },
  )
}

/** True when `ancestorId` is somewhere above the row. */
export function isDescendant(threads: ThreadsClient, row: ThreadRow, ancestorId: string): boolean {
  let parentId = row.parent_thread_id
  // Depth bounds the walk: a row cannot have more ancestors than it is deep.
  for (let level = 0; parentId !== null && level < row.depth; level += 1) {
    if (parentId === ancestorId) return true
    parentId = threads.get(parentId).parent_thread_id
  }
  return parentId === ancestorId
}
