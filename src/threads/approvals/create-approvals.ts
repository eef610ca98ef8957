import type { JsonObject } from '../../json.ts'
import { KiwiError } from '../../kernel/errors.ts'
import { isApproved } from '../signals/intervention.ts'
import { statusInRegistry } from '../signals/signals.ts'
import { writeSignal } from '../signals/write-signal.ts'
import type { SignalContext } from '../signals/write-signal.ts'
import { isTerminal } from '../status.ts'
import type { ApprovalAnswer, ApprovalRow, Approvals, ApprovalStatus } from './approval.ts'
import { getApproval, listApprovals } from './approval-rows.ts'

export interface ApprovalsOptions extends SignalContext {
  /** Sees to it that a host takes up the thread that was answered. */
  readonly wake: (threadId: string) => Promise<void>
}

/** The id of the signal that gives an answer begins so, and no other's does. */
export const APPROVAL_SIGNAL = 'approval:'

const SETTLE = "UPDATE approvals SET status = ?, answered_at_ms = ?, answer_json = ? WHERE approval_id = ? AND status = 'pending'"

export function createApprovals(options: ApprovalsOptions): Approvals {
  const { store, clock } = options
  return {
    get: (approvalId) => getApproval(store, approvalId, clock.now()),
    list: (query = {}) => listApprovals(store, query, clock.now()),
    async answer(approvalId, answer) {
      const touched = await store.commit(() => settle(options, approvalId, answer), { durability: 'full' })
      for (const threadId of touched) await options.wake(threadId)
      return getApproval(store, approvalId, clock.now())
    },
  }
}

/** In one transaction: the answer, the signal that tells the thread, who gave it, and the money that it adds. */
function settle(context: SignalContext, approvalId: string, answer: ApprovalAnswer): readonly string[] {
  const { store, clock } = context
  const nowMs = clock.now()
  const row = getApproval(store, approvalId, nowMs)
  const { thread_id: threadId } = row
  const status = givesUp(context, threadId) && row.status === 'pending' ? 'cancelled' : row.status
  if (status !== 'pending') throw closed(row, status)
  const { decision, reason, by, facts } = answer
  store.statement(SETTLE).run(answeredStatus(decision), nowMs, JSON.stringify({ decision, reason, by, facts }), approvalId)
  // What the answer is stands last: no fact takes its place.
  const body: JsonObject = { ...facts, approval_id: approvalId, kind: row.kind, decision, reason, by: { ...by } }
  return writeSignal(context, threadId, { id: `${APPROVAL_SIGNAL}${approvalId}`, kind: 'approval', body })
}

function answeredStatus(decision: ApprovalAnswer['decision']): 'approved' | 'denied' {
  if (isApproved(decision)) return 'approved'
  if (decision === 'deny') return 'denied'
  throw new KiwiError(
    'INVALID_REQUEST',
    `Expected decision to be one of approve_once, approve_thread, deny, got ${JSON.stringify(decision)}.`,
  )
}

/** A thread that has ended, or is to be cancelled, waits for nothing. */
function givesUp({ store }: SignalContext, threadId: string): boolean {
  const status = statusInRegistry(store, threadId)
  if (status === null || isTerminal(status)) return true
  const row = store.statement('SELECT cancel_mode FROM threads WHERE thread_id = ?').get(threadId)
  return row?.['cancel_mode'] !== null
}

function closed(row: ApprovalRow, status: ApprovalStatus): KiwiError {
  const { approval_id: approvalId, thread_id: threadId } = row
  return new KiwiError('APPROVAL_CLOSED', `Approval ${approvalId} waits for no answer any more: it is ${status}.`, {
    facts: { approval_id: approvalId, thread_id: threadId, status },
    suggestion: `Look at what became of the thread with "kiwi show ${threadId}".`,
  })
}
