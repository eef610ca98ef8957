import type { JsonObject } from '../../../json.ts'
import type { ApprovalRow } from '../../../threads/approvals/approval.ts'
import { isTerminal, needsPerson } from '../../../threads/status.ts'
import type { ThreadRow, ThreadsClient } from '../../../threads/threads-client.ts'
import { allowedActions } from './allowed-actions.ts'
import type { Caller } from './caller.ts'
import { openQuestions } from './open-questions.ts'

/** One thread as tools show it to a model: how its work stands, wherever that was handed on to, without registry internals. */
function threadView(threads: ThreadsClient, threadId: string, caller: Caller): JsonObject {
  const row = threads.newestOf(threadId)
  return {
    thread_id: threadId,
    ...(row.thread_id === threadId ? {} : { continued_in: row.thread_id }),
    directive_id: row.directive_id,
    status: row.status,
    ...(row.end_reason === null ? {} : { end_reason: row.end_reason }),
    ...(row.wait_reason === null ? {} : { wait_reason: row.wait_reason }),
    turn: row.turn,
    ...(row.result === null ? {} : { result: row.result }),
    total_usage: row.total_usage,
    guarantee: row.guarantee,
    transcript_path: row.transcript_path,
    allowed_actions: [...allowedActions(threads, row, caller)],
  }
}

/** True when waiting longer brings nothing: the thread has ended, or goes on only when somebody acts. */
export function isSettled(row: ThreadRow): boolean {
  return isTerminal(row.status) || needsPerson(row.status, row.wait_reason)
}

/** The answer of `wait_thread`, at once or after a park: the threads as they are now. */
export function waitAnswer(threads: ThreadsClient, threadIds: readonly string[], caller: Caller): JsonObject {
  const rows = threadIds.map((threadId) => threads.newestOf(threadId))
  const settled = rows.every(isSettled)
  const note = noteOf(rows, settled)
  const questions = openQuestions(threads, threadIds)
  return {
    settled,
    threads: threadIds.map((threadId) => threadView(threads, threadId, caller)),
    ...(questions.length === 0 ? {} : { approvals: questions.slice(0, MAX_SHOWN_QUESTIONS).map(questionView), answer_with: HOW }),
    ...(note === null ? {} : { note }),
  }
}

/** What waits for an answer; `list_approvals` shows the rest, and all that is known of each. */
const MAX_SHOWN_QUESTIONS = 20
const HOW =
  'answer_approval {approval_id, decision: approve_once | approve_thread | deny, reason}; list_approvals shows what exactly is asked.'

function questionView({ approval_id, kind, title, thread_id, expires_at }: ApprovalRow): JsonObject {
  return { approval_id, kind, title, thread_id, expires_at }
}

function noteOf(rows: readonly ThreadRow[], settled: boolean): string | null {
  if (rows.some((row) => needsPerson(row.status, row.wait_reason)))
    return 'At least one thread goes on only when somebody acts; allowed_actions says what you can do.'
  return settled ? null : 'The time is over and at least one thread still runs. Wait again, read its transcript, or cancel it.'
}
