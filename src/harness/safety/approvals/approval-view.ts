import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import type { ApprovalRow, ApprovalStatus } from '../../../threads/approvals/approval.ts'
import { accessibleThread, callingThread, lineOf } from '../interventions/thread-access.ts'
import type { HarnessServices } from '../services.ts'

const SHOWN = 100

/** One question as tools show it: all of it, and the answer where there is one. */
export function approvalView(row: ApprovalRow): JsonObject {
  const { answer, ...question } = row
  // An actor and facts are JSON; their types only lack an index signature.
  return { ...question, answer: answer as unknown as JsonObject | null }
}

/**
 * The questions that the caller may see, newest first: the operator all of the project, a thread those of threads below it.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND, PERMISSION_DENIED.
 */
export function listApprovals(
  { threads }: HarnessServices,
  context: ExecutionContext,
  { threadId, status }: { readonly threadId?: string; readonly status?: ApprovalStatus },
): readonly ApprovalRow[] {
  const caller = callingThread(context)
  const asked = status === undefined ? {} : { status }
  if (threadId !== undefined) {
    accessibleThread(threads, context, threadId)
    return threads.approvals.list({ ...asked, root_thread_id: threadId, limit: SHOWN })
  }
  if (caller === null) return threads.approvals.list({ ...asked, limit: SHOWN })
  // Its own questions are not its own to answer; what those spawned that handed their work on to it is below it.
  const line = lineOf(threads, caller)
  return [...line]
    .flatMap((id) => threads.approvals.list({ ...asked, root_thread_id: id, limit: SHOWN }))
    .filter((row) => !line.has(row.thread_id))
    .toSorted((left, right) => right.requested_at.localeCompare(left.requested_at))
    .slice(0, SHOWN)
}
