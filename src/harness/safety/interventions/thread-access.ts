import type { JsonObject } from '../../../json.ts'
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
  throw notItsDescendant({ threadId, caller })
}

/** The error for a thread that acts on one which is not below it. */
export function notItsDescendant(
  { threadId, caller }: { readonly threadId: string; readonly caller: string },
  facts: JsonObject = {},
): KiwiError {
  const message = `Thread ${caller} may not act on thread ${threadId}: it is not one of its descendants.`
  return new KiwiError('PERMISSION_DENIED', message, {
    facts: { thread_id: threadId, caller_thread_id: caller, missing: ['a thread that this thread spawned'], ...facts },
    suggestion: 'Use the ids that thread_directive gave you.',
  })
}

/** True when `ancestorId`, or a thread that handed its work on to it, is somewhere above the row. */
export function isDescendant(threads: ThreadsClient, row: ThreadRow, ancestorId: string): boolean {
  if (row.parent_thread_id === null) return false
  const line = lineOf(threads, ancestorId)
  let parentId: string | null = row.parent_thread_id
  // Depth bounds the walk: a row cannot have more ancestors than it is deep.
  for (let level = 0; parentId !== null && level < row.depth; level += 1) {
    if (line.has(parentId)) return true
    parentId = threads.get(parentId).parent_thread_id
  }
  return parentId !== null && line.has(parentId)
}

/** The thread and those that handed their work on to it: what they spawned is its own. */
export function lineOf(threads: ThreadsClient, threadId: string): ReadonlySet<string> {
  const line = new Set<string>()
  for (let next: string | null = threadId; next !== null && !line.has(next);) {
    line.add(next)
    const { continues }: ThreadRow = threads.get(next)
    next = continues?.how === 'handoff' ? continues.thread_id : null
  }
  return line
}
