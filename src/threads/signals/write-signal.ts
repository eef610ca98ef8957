import type { JsonObject } from '../../json.ts'
import { cancelApprovals } from '../approvals/approval-changes.ts'
import type { Clock } from '../clock.ts'
import type { Signal } from '../engine.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { assertSignal } from '../status.ts'
import type { Store } from '../store/open-store.ts'
import { getThread } from '../store/thread-rows.ts'
import { isApproved, logIntervention, withActor } from './intervention.ts'
import { cancelBelow, detachedBelow, insertSignal, isPending, markCancel } from './signals.ts'

export interface SignalContext {
  readonly store: Store
  readonly ledger: Ledger
  readonly clock: Clock
}

/** Ids of detached threads that one event names. */
const MAX_DETACHED = 50

/**
 * Everything that one signal does, inside an operation: the row, the event that says who did what, its intent for everything below, the
 * questions that it settles, its money. A signal whose id the thread knows does nothing. Gives the threads that must hear of it, this one
 * first.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND, ILLEGAL_TRANSITION, INVALID_REQUEST, LIMIT_EXCEEDED, BUDGET_EXCEEDED.
 */
export function writeSignal(context: SignalContext, threadId: string, sent: Signal): readonly string[] {
  const { store, ledger, clock } = context
  const known = store.statement('SELECT 1 AS known FROM signals WHERE thread_id = ? AND signal_id = ?').get(threadId, sent.id)
  if (known !== undefined) return [threadId]
  const signal = withActor(sent)
  const { status } = getThread(store, threadId)
  const endsPause = signal.kind === 'resume' && status !== 'waiting' && isPending(store, threadId, 'pause')
  if (!endsPause) assertSignal(threadId, status, signal.kind)
  const nowMs = clock.now()
  insertSignal(store, threadId, signal, nowMs)
  if (addsMoney(signal)) addBudget(ledger, threadId, signal.body)
  if (signal.kind !== 'cancel') {
    logIntervention(store, threadId, signal, { nowMs })
    // Who lets the thread go on has answered otherwise; an answer that came after it would be heard by nobody.
    if (signal.kind === 'resume' && status === 'waiting') cancelApprovals(store, threadId, nowMs)
    return [threadId]
  }
  markCancel(store, threadId, signal)
  const reached = cancelBelow(store, threadId, signal, nowMs)
  const detached = detachedBelow(store, threadId)
  const facts = detached.length === 0 ? {} : { detached: detached.slice(0, MAX_DETACHED) }
  logIntervention(store, threadId, signal, { nowMs, facts })
  cancelApprovals(store, threadId, nowMs)
  return [threadId, ...reached]
}

function addsMoney({ kind, body }: Signal): boolean {
  return kind === 'resume' || kind === 'budget' || (kind === 'approval' && isApproved(body['decision']))
}

function addBudget(ledger: Ledger, threadId: string, body: JsonObject): void {
  const { add_usd_nano: nano, add_usd: usd } = body
  if (typeof nano === 'number') ledger.grant(threadId, nano)
  else if (typeof usd === 'number') ledger.grant(threadId, Math.round(usd * 1e9))
}
