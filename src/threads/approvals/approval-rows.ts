import { KiwiError } from '../../kernel/errors.ts'
import { isoTime } from '../clock.ts'
import { integer, integerOrNull, json, jsonObject, text } from '../store/columns.ts'
import type { Row } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import type { ApprovalAnswer, ApprovalKind, ApprovalQuery, ApprovalRow, ApprovalStatus } from './approval.ts'

const STATUSES: readonly ApprovalStatus[] = ['pending', 'approved', 'denied', 'expired', 'cancelled']

const SELECT = 'SELECT a.*, t.directive_id FROM approvals a JOIN threads t ON t.thread_id = a.thread_id'

/** What the status column says at a time: a pending one whose time is over is expired, whether or not its thread has noticed. */
const READS_AS: Readonly<Record<ApprovalStatus, string>> = {
  pending: "a.status = 'pending' AND a.expires_at_ms > ?",
  expired: "(a.status = 'expired' OR (a.status = 'pending' AND a.expires_at_ms <= ?))",
  approved: "a.status = 'approved'",
  denied: "a.status = 'denied'",
  cancelled: "a.status = 'cancelled'",
}

const THREAD_AND_BELOW = `a.thread_id IN (WITH RECURSIVE below(thread_id) AS (
  SELECT ?
  UNION ALL
  SELECT t.thread_id FROM threads t JOIN below ON t.parent_thread_id = below.thread_id
) SELECT thread_id FROM below)`

/** @throws {KiwiError} APPROVAL_NOT_FOUND */
export function getApproval(store: Store, approvalId: string, nowMs: number): ApprovalRow {
  const row = store.statement(`${SELECT} WHERE a.approval_id = ?`).get(approvalId)
  if (row !== undefined) return toApprovalRow(row, nowMs)
  throw new KiwiError('APPROVAL_NOT_FOUND', `No approval ${approvalId.slice(0, 256)} is in this project's registry.`, {
    facts: { approval_id: approvalId.slice(0, 256) },
    suggestion: 'List what waits for an answer with "kiwi approvals".',
  })
}

/** Newest first. @throws {KiwiError} INVALID_REQUEST for a limit or a status that does not exist. */
export function listApprovals(store: Store, query: ApprovalQuery, nowMs: number): readonly ApprovalRow[] {
  const limit = query.limit ?? 100
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw new KiwiError('INVALID_REQUEST', `Expected limit to be an integer from 1 to 1000, got ${String(query.limit)}.`)
  const conditions: string[] = []
  const values: (string | number)[] = []
  const { thread_id: threadId, root_thread_id: rootThreadId, status } = query
  if (threadId !== undefined) {
    conditions.push('a.thread_id = ?')
    values.push(threadId)
  }
  if (rootThreadId !== undefined) {
    conditions.push(THREAD_AND_BELOW)
    values.push(rootThreadId)
  }
  if (status !== undefined) {
    if (!STATUSES.includes(status))
      throw new KiwiError(
        'INVALID_REQUEST',
        `Expected status to be one of ${STATUSES.join(', ')}, got ${JSON.stringify(status)}.`,
      )
    conditions.push(READS_AS[status])
    if (status === 'pending' || status === 'expired') values.push(nowMs)
  }
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  return store
    .statement(`${SELECT}${where} ORDER BY a.requested_at_ms DESC, a.rowid DESC LIMIT ?`)
    .all(...values, limit)
    .map((row) => toApprovalRow(row, nowMs))
}

function toApprovalRow(row: Row, nowMs: number): ApprovalRow {
  const expiresAtMs = integer(row, 'expires_at_ms')
  const answeredAtMs = integerOrNull(row, 'answered_at_ms')
  // The table's CHECK admits only these, and a `NewApproval` alone is written to the other column.
  const stored = text(row, 'status') as ApprovalStatus
  return {
    approval_id: text(row, 'approval_id'),
    thread_id: text(row, 'thread_id'),
    directive_id: text(row, 'directive_id'),
    kind: text(row, 'kind') as ApprovalKind,
    status: stored === 'pending' && expiresAtMs <= nowMs ? 'expired' : stored,
    title: text(row, 'title'),
    subject: jsonObject(row, 'subject_json'),
    requested_at: isoTime(integer(row, 'requested_at_ms')),
    expires_at: isoTime(expiresAtMs),
    answered_at: answeredAtMs === null ? null : isoTime(answeredAtMs),
    // Only `answer` writes this column, with an `ApprovalAnswer`.
    answer: row['answer_json'] === null ? null : (json(row, 'answer_json') as unknown as ApprovalAnswer),
  }
}
