import { handOn } from '../chains/handoff.ts'
import { firstInLine, newestInLine } from '../chains/line.ts'
import type { JsonObject } from '../../json.ts'
import type { Signal } from '../engine.ts'
import { cancelBelow, insertSignal } from '../signals/signals.ts'
import type { PendingSignal } from '../signals/signals.ts'
import { isTerminal, needsPerson } from '../status.ts'
import { statusAndReason } from '../store/thread-rows.ts'
import type { Decision } from './boundary.ts'
import type { Journal } from './journal.ts'
import type { LiveThread } from './live-thread.ts'

export interface EndOfThread {
  readonly decision: Extract<Decision, { kind: 'end' }>
  /** The id of the thread that takes over, where the decision names a successor. */
  readonly continuedBy: string | null
  /** Signals of this boundary. */
  readonly late: readonly PendingSignal[]
  readonly nowIso: string
}

/** Money back or handed on, parent told, orphans cancelled: all in the transaction that ends the thread. Gives who must hear of it. */
export function endThread(journal: Journal, live: LiveThread, end: EndOfThread): readonly string[] {
  const { store, ledger, clock } = journal
  const { successor, result, endReason } = end.decision
  const nowMs = clock.now()
  const handedTo = successor === null ? null : end.continuedBy
  if (successor === null || handedTo === null) ledger.close(live.id)
  else {
    const { late, nowIso } = end
    handOn({ store, ledger }, { start: live.start, successor, threadId: handedTo, late, turn: live.turn, nowMs, nowIso })
  }
  const orphaned: Signal = { id: `orphaned:${live.id}`, kind: 'cancel', body: { mode: 'now', reason: 'parent_ended' } }
  const orphans = cancelBelow(store, live.id, orphaned, nowMs)
  // To its parent a line is one thread, which ends with the last.
  if (handedTo !== null) return [...orphans, handedTo]
  return [...orphans, ...tellParent(journal, live, 'child_done', { end_reason: endReason, result })]
}

/** Lets the parent look when its child has come to wait for a person. Called once for each time the thread is parked. */
export function tellWaiting(journal: Journal, live: LiveThread, park: Extract<Decision, { kind: 'park' }>): readonly string[] {
  const reason = park.wait?.reason ?? null
  if (!needsPerson(park.status, reason)) return []
  return tellParent(journal, live, 'child_waiting', { wait_reason: park.status === 'waiting' ? reason : null })
}

function tellParent(
  journal: Journal,
  live: LiveThread,
  kind: 'child_done' | 'child_waiting',
  facts: JsonObject,
): readonly string[] {
  const { store, clock } = journal
  if (live.start.parentThreadId === null) return []
  const parent = newestInLine(store, live.start.parentThreadId)
  if (isTerminal(statusAndReason(store, parent).status)) return []
  const child = firstInLine(store, live.id)
  const continued = child === live.id ? {} : { continued_in: live.id }
  // Each parking has a status event of its own, and its number with it.
  const id = kind === 'child_done' ? `${kind}:${child}` : `${kind}:${live.id}:${live.turn}:${live.counters.eventSeq}`
  const body = { thread_id: child, ...continued, status: live.status, ...facts }
  return insertSignal(store, parent, { id, kind, body }, clock.now()) ? [parent] : []
}
