import { KiwiError } from '../../kernel/errors.ts'
import { isoTime } from '../clock.ts'
import type { NewEvent } from '../engine.ts'
import { appendEvent } from '../store/append-event.ts'
import { text } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import type { ApprovalChange, NewApproval } from './approval.ts'

const INSERT = `INSERT INTO approvals (approval_id, thread_id, kind, status, title, subject_json, requested_at_ms, expires_at_ms)
  VALUES (?, ?, ?, 'pending', ?, ?, ?, ?) ON CONFLICT (approval_id) DO NOTHING`

/** One whose time was over already has read as expired, and stays so. */
const CLOSE = `UPDATE approvals SET status = CASE WHEN expires_at_ms <= ?1 THEN 'expired' ELSE ?2 END
  WHERE approval_id = ?3 AND thread_id = ?4 AND status = 'pending' RETURNING status`

/**
 * Writes what a commit of the thread does to one question and gives its event; null where it changes nothing, because the same question
 * was put before or has been answered meanwhile. Inside an operation.
 */
export function changeApproval(
  store: Store,
  change: ApprovalChange,
  at: { readonly threadId: string; readonly nowMs: number },
): NewEvent | null {
  if (change.do === 'request') return request(store, change.approval, at)
  const closed = store.statement(CLOSE).get(at.nowMs, change.as, change.approvalId, at.threadId)
  if (closed === undefined) return null
  return { type: `approval_${text(closed, 'status')}`, payload: { approval_id: change.approvalId } }
}

function request(
  store: Store,
  approval: NewApproval,
  at: { readonly threadId: string; readonly nowMs: number },
): NewEvent | null {
  const { approvalId, kind, title, subject, expiresAtMs } = approval
  const written = store
    .statement(INSERT)
    .run(approvalId, at.threadId, kind, title, JSON.stringify(subject), at.nowMs, expiresAtMs)
  if (written.changes === 0) return assertOwn(store, approvalId, at.threadId)
  const payload = { approval_id: approvalId, kind, title, expires_at: isoTime(expiresAtMs) }
  return { type: 'approval_requested', payload }
}

/** A thread that waited for the answer to the question of another would go on by it. */
function assertOwn(store: Store, approvalId: string, threadId: string): null {
  const row = store.statement('SELECT thread_id FROM approvals WHERE approval_id = ?').get(approvalId)
  if (row !== undefined && text(row, 'thread_id') === threadId) return null
  throw new KiwiError('INTERNAL', `Thread ${threadId} asks for approval ${approvalId}, which is a question of another thread.`)
}

/** What settles every open question of a thread that ends or is to be cancelled. */
export function openApprovals(store: Store, threadId: string): readonly ApprovalChange[] {
  return store
    .statement("SELECT approval_id FROM approvals WHERE thread_id = ? AND status = 'pending' ORDER BY rowid")
    .all(threadId)
    .map((row) => ({ do: 'close', approvalId: text(row, 'approval_id'), as: 'cancelled' }))
}

/** Settles the open questions of a thread from outside of its host. Inside an operation. */
export function cancelApprovals(store: Store, threadId: string, nowMs: number): void {
  for (const change of openApprovals(store, threadId)) {
    const event = changeApproval(store, change, { threadId, nowMs })
    if (event !== null) appendEvent(store, { threadId, ...event, nowIso: isoTime(nowMs) })
  }
}
