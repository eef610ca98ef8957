import { KiwiError } from '../../kernel/errors.ts'
import { cancelApprovals } from '../approvals/approval-changes.ts'
import { isoTime } from '../clock.ts'
import type { Signal, SignalKind, Status } from '../engine.ts'
import { integer, jsonObject, text, textOrNull } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import { logIntervention } from './intervention.ts'

/** A signal row that has not been given to the thread's `receive` yet. */
export interface PendingSignal {
  readonly seq: number
  readonly signal: Signal
}

/** `graceful` lets the running step end; `now` aborts it. */
export type CancelMode = 'graceful' | 'now'

const INSERT =
  'INSERT INTO signals (thread_id, signal_id, kind, body_json, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (thread_id, signal_id) DO NOTHING'

const BODY_LIMIT_BYTES = 1_048_576

/** Writes one signal row; false when the thread already has one of this id. Must run inside a transaction. */
export function insertSignal(store: Store, threadId: string, signal: Signal, nowMs: number): boolean {
  const body = JSON.stringify(signal.body)
  if (body.length > BODY_LIMIT_BYTES && signal.kind !== 'child_done') {
    throw new KiwiError(
      'LIMIT_EXCEEDED',
      `The body of signal ${signal.kind} to thread ${threadId} has ${body.length} characters; the limit is ${BODY_LIMIT_BYTES}.`,
    )
  }
  return store.statement(INSERT).run(threadId, signal.id, signal.kind, body, isoTime(nowMs)).changes === 1
}

/** The thread's signals in the order of arrival. */
export function pendingSignals(store: Store, threadId: string): readonly PendingSignal[] {
  const rows = store
    .statement(
      'SELECT seq, signal_id, kind, body_json FROM signals WHERE thread_id = ? AND applied_turn IS NULL ORDER BY seq LIMIT 1000',
    )
    .all(threadId)
  if (rows.length === 0) return []
  return rows.map((row) => ({
    seq: integer(row, 'seq'),
    // `kind` was a SignalKind when `insertSignal` wrote it, and nothing else writes this table.
    signal: { id: text(row, 'signal_id'), kind: text(row, 'kind') as SignalKind, body: jsonObject(row, 'body_json') },
  }))
}

export function markApplied(store: Store, signals: readonly PendingSignal[], turn: number): void {
  for (const { seq } of signals) store.statement('UPDATE signals SET applied_turn = ? WHERE seq = ?').run(turn, seq)
}

/** Unfinished threads below one. A detached one is among them, and nothing below that. */
const UNFINISHED_BELOW = `
WITH RECURSIVE below(thread_id, detached) AS (
  SELECT thread_id, on_parent_end = 'detach' FROM threads WHERE parent_thread_id = ?
  UNION ALL
  SELECT t.thread_id, t.on_parent_end = 'detach' FROM threads t JOIN below ON t.parent_thread_id = below.thread_id WHERE NOT below.detached
)
SELECT t.thread_id, t.cancel_mode, below.detached FROM threads t JOIN below ON below.thread_id = t.thread_id
WHERE t.status IN ('spawning','running','paused','waiting')`

/**
 * Writes the intent to cancel into every unfinished thread below `threadId`, each with a signal of its own, in one transaction, so
 * that nothing below can begin or spawn afterwards; their open questions are settled with it. Detached threads, and what is below them,
 * are left alone. Gives the ids of those that it reaches. `by` is the thread itself where the signal names nobody: it ended.
 */
export function cancelBelow(store: Store, threadId: string, signal: Signal, nowMs: number): readonly string[] {
  const mode = cancelModeOf(signal)
  const by = signal.body['by'] ?? { kind: 'thread', thread_id: threadId, token: null }
  // Its own id: the sender's may have been used for something else below.
  const id = `${signal.id}:below:${threadId}`
  const rows = unfinishedBelow(store, threadId).filter(({ detached }) => !detached)
  for (const row of rows) {
    if (row.cancelMode === 'now' || row.cancelMode === mode) continue
    const reaching: Signal = { id, kind: 'cancel', body: { ...signal.body, by, because_of: threadId } }
    if (!insertSignal(store, row.threadId, reaching, nowMs)) continue
    markCancel(store, row.threadId, reaching)
    logIntervention(store, row.threadId, reaching, { nowMs })
    cancelApprovals(store, row.threadId, nowMs)
  }
  return rows.map((row) => row.threadId)
}

/** Unfinished detached threads that a cancel of this one leaves alone; not those below them. */
export function detachedBelow(store: Store, threadId: string): readonly string[] {
  return unfinishedBelow(store, threadId).flatMap((row) => (row.detached ? [row.threadId] : []))
}

function unfinishedBelow(
  store: Store,
  threadId: string,
): readonly { readonly threadId: string; readonly cancelMode: string | null; readonly detached: boolean }[] {
  return store
    .statement(UNFINISHED_BELOW)
    .all(threadId)
    .map((row) => ({
      threadId: text(row, 'thread_id'),
      cancelMode: textOrNull(row, 'cancel_mode'),
      detached: integer(row, 'detached') === 1,
    }))
}

/** A cancel only ever becomes more urgent. */
export function markCancel(store: Store, threadId: string, signal: Signal): void {
  store
    .statement("UPDATE threads SET cancel_mode = ? WHERE thread_id = ? AND cancel_mode IS NOT 'now'")
    .run(cancelModeOf(signal), threadId)
}

/** `now` unless the sender asked to be gentle. */
export function cancelModeOf(signal: Signal): CancelMode {
  return signal.body['mode'] === 'graceful' ? 'graceful' : 'now'
}

/** True when a signal of this kind is on its way: a resume after a pause makes sense then whatever the row says now. */
export function isPending(store: Store, threadId: string, kind: SignalKind): boolean {
  const row = store
    .statement('SELECT 1 AS found FROM signals WHERE thread_id = ? AND applied_turn IS NULL AND kind = ? LIMIT 1')
    .get(threadId, kind)
  return row !== undefined
}

/** Status of a thread, or null for an unknown one. */
export function statusInRegistry(store: Store, threadId: string): Status | null {
  const row = store.statement('SELECT status FROM threads WHERE thread_id = ?').get(threadId)
  // The table's CHECK admits only statuses.
  return row === undefined ? null : (text(row, 'status') as Status)
}
