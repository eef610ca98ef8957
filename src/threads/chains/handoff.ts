import type { Successor, ThreadStart } from '../engine.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { insertSignal, markApplied, markCancel, pendingSignals } from '../signals/signals.ts'
import type { PendingSignal } from '../signals/signals.ts'
import { integer, integerOrNull, text } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import { threadNotFound } from '../store/thread-rows.ts'
import { sanitizeThreadId } from '../thread-id.ts'
import { isTaken, putThread } from './new-thread.ts'

export interface Handoff {
  readonly start: ThreadStart
  readonly successor: Successor
  /** From `successorId`, in the same transaction. */
  readonly threadId: string
  /** Signals that came too late for the old thread. */
  readonly late: readonly PendingSignal[]
  readonly turn: number
  readonly nowMs: number
  readonly nowIso: string
}

/** Room for a suffix within the longest id. */
const BASE_LENGTH = 120

/** The wanted id, or that with `_2`, `_3`, … when it is taken: a collision must not lose the work. */
export function successorId(store: Store, successor: Successor): string {
  const wanted = sanitizeThreadId(successor.threadId)
  let threadId = wanted
  for (let suffix = 2; isTaken(store, threadId); suffix += 1) threadId = `${wanted.slice(0, BASE_LENGTH)}_${suffix}`
  return threadId
}

/**
 * Makes the successor of a thread in the transaction that ends it: same directive, place and limits, what is left of its money, no
 * conversation. It is the same work, so it counts against no limit of the tree a second time.
 */
export function handOn(context: { readonly store: Store; readonly ledger: Ledger }, handoff: Handoff): void {
  const { store, ledger } = context
  const { start: old, successor, threadId } = handoff
  const row = store
    .statement(
      'SELECT permission_context_json, cost_budget_json, max_live, spawned_below, COALESCE(chain_id, thread_id) AS chain FROM threads WHERE thread_id = ?',
    )
    .get(old.threadId)
  if (row === undefined) throw threadNotFound(old.threadId)
  const start: ThreadStart = {
    ...old,
    threadId,
    initialMessage: successor.initialMessage,
    options: successor.options,
    grantedNano: restOf(ledger, old.threadId),
    chainId: text(row, 'chain'),
    continues: { threadId: old.threadId, how: 'handoff', throughSeq: 0 },
  }
  const thread = {
    start,
    permissionContextJson: text(row, 'permission_context_json'),
    costBudgetJson: text(row, 'cost_budget_json'),
    maxLive: integerOrNull(row, 'max_live'),
    spawnedBelow: integer(row, 'spawned_below'),
  }
  putThread(store, thread, handoff.nowIso)
  ledger.handOn(old.threadId, threadId)
  store.statement('UPDATE threads SET continued_by = ? WHERE thread_id = ?').run(threadId, old.threadId)
  carrySignals(store, handoff)
}

/** What the account will hand on: an open reservation counts as spent. */
function restOf(ledger: Ledger, threadId: string): number | null {
  ledger.settleAll(threadId)
  const { grantedNano, availableNano } = ledger.view(threadId)
  return grantedNano === null ? null : availableNano
}

/** What people ask of a thread is asked of its work; the rest is about things that ended with the old thread. */
const CARRIED: ReadonlySet<string> = new Set(['inject', 'pause', 'resume', 'cancel', 'budget', 'sink'])

function carrySignals(store: Store, handoff: Handoff): void {
  const { start, threadId, nowMs, turn } = handoff
  let late = handoff.late
  do {
    for (const { signal } of late) {
      if (!CARRIED.has(signal.kind)) continue
      insertSignal(store, threadId, signal, nowMs)
      if (signal.kind === 'cancel') markCancel(store, threadId, signal)
    }
    markApplied(store, late, turn)
    late = pendingSignals(store, start.threadId)
  } while (late.length > 0)
}
