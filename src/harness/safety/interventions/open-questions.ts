import { isTerminal } from '../../../threads/status.ts'
import type { ApprovalRow } from '../../../threads/approvals/approval.ts'
import type { ThreadsClient } from '../../../threads/threads-client.ts'

const MAX_QUESTIONS = 1_000

/**
 * What somebody has to answer before these threads, or threads below them, can go on; oldest first. Threads whose work has ended wait for
 * nothing.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND
 */
export function openQuestions(threads: ThreadsClient, threadIds: readonly string[]): readonly ApprovalRow[] {
  const open = new Map<string, ApprovalRow>()
  for (const threadId of new Set(threadIds.flatMap((id) => lineFrom(threads, id)))) {
    const rows = threads.approvals.list({ root_thread_id: threadId, status: 'pending', limit: MAX_QUESTIONS })
    for (const row of rows) open.set(row.approval_id, row)
  }
  return [...open.values()].toSorted((a, b) => a.requested_at.localeCompare(b.requested_at))
}

/** The thread and those that it handed its work on to; none when that work has ended. */
function lineFrom(threads: ThreadsClient, threadId: string): readonly string[] {
  if (isTerminal(threads.newestOf(threadId).status)) return []
  const line: string[] = []
  for (let next: string | null = threadId; next !== null && !line.includes(next);) {
    line.push(next)
    next = threads.get(next).continued_by
  }
  return line
}
