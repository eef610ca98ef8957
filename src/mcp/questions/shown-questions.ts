import { openQuestions } from '../../harness/safety/interventions/open-questions.ts'
import type { JsonObject } from '../../json.ts'
import type { ApprovalRow } from '../../threads/approvals/approval.ts'
import type { McpProject } from '../contract.ts'

/**
 * What these threads and those below them wait for, oldest first, without the secrets of this process.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND
 */
export function shownQuestions(open: McpProject, threadIds: readonly string[]): readonly ApprovalRow[] {
  return openQuestions(open.threads, threadIds).map((row) => shownQuestion(open, row))
}

export function shownQuestion({ redact }: Pick<McpProject, 'redact'>, row: ApprovalRow): ApprovalRow {
  const { title, subject } = redact({ title: row.title, subject: row.subject })
  // Redaction leaves the shape of a value as it is.
  return { ...row, title: title as string, subject: subject as JsonObject }
}
