import type { JsonObject } from '../../../json.ts'
import { isTerminal, needsPerson } from '../../../threads/status.ts'
import type { ThreadRow } from '../../../threads/threads-client.ts'

/** One thread as tools show it to a model: its outcome, without registry internals. */
function threadView(row: ThreadRow): JsonObject {
  return {
    thread_id: row.thread_id,
    directive_id: row.directive_id,
    status: row.status,
    ...(row.end_reason === null ? {} : { end_reason: row.end_reason }),
    ...(row.wait_reason === null ? {} : { wait_reason: row.wait_reason }),
    turn: row.turn,
    ...(row.result === null ? {} : { result: row.result }),
    total_usage: row.total_usage,
    transcript_path: row.transcript_path,
  }
}

/** True when waiting longer brings nothing: the thread has ended, or goes on only when somebody acts. */
export function isSettled(row: ThreadRow): boolean {
  return isTerminal(row.status) || needsPerson(row.status, row.wait_reason)
}

/** The answer of `wait_thread`, at once or after a park. */
export function waitAnswer(rows: readonly ThreadRow[]): JsonObject {
  const settled = rows.every(isSettled)
  return {
    settled,
    threads: rows.map(threadView),
    ...(settled
      ? {}
      : { note: 'The time is over and at least one thread still runs. Wait again, read its transcript, or cancel it.' }),
  }
}
