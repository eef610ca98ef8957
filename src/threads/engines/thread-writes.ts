import { openApprovals } from '../approvals/approval-changes.ts'
import { successorId } from '../chains/handoff.ts'
import type { Commit, Next, Status, ThreadState } from '../engine.ts'
import { markApplied } from '../signals/signals.ts'
import type { PendingSignal } from '../signals/signals.ts'
import { assertTransition, statusOf } from '../status.ts'
import type { Transaction } from '../store/group-commit.ts'
import type { Decision } from './boundary.ts'
import { endThread, tellWaiting } from './family.ts'
import type { Journal, PreparedCommit, WriteMoment } from './journal.ts'
import type { Leases } from './leases.ts'
import type { LiveThread } from './live-thread.ts'

/** Everything that one turn boundary writes, in one transaction. */
export interface BoundaryWrite {
  readonly state: ThreadState
  readonly next: Next
  readonly turn: number
  readonly turnStartedMs: number
  readonly decision: Decision
  readonly applied: readonly PendingSignal[]
  readonly commits: readonly PreparedCommit[]
}

/** Other threads that must hear of it at once. */
export interface Aftermath {
  readonly notify: readonly string[]
}

const UPDATE_THREAD = `UPDATE threads SET status = ?, end_reason = ?, wait_reason = ?, wait_until_ms = ?, turn = ?, turn_started_ms = ?, state_json = ?,
  next_json = ?, result_json = ?, runner_version = ?, updated_at = ?, ended_at = ? WHERE thread_id = ?`

const NOBODY: Aftermath = { notify: [] }

/** Must run inside `journal.write` of the thread. */
export function writeBoundary(
  context: { readonly journal: Journal; readonly leases: Leases },
  live: LiveThread,
  write: BoundaryWrite,
  at: WriteMoment,
): Aftermath {
  const { journal, leases } = context
  const { decision } = write
  const status = statusAfter(decision)
  const from = live.status
  if (status !== from) moveTo(live, status, at.transaction)
  for (const commit of write.commits) journal.put(live, commit, at)
  markApplied(journal.store, write.applied, write.turn)
  const ended = decision.kind === 'end'
  const continuedBy = ended && decision.successor !== null ? successorId(journal.store, decision.successor) : null
  if (ended) closeQuestions(journal, live, at)
  if (status !== from)
    journal.put(live, prepareStatus(journal, live, { from, decision, continuedBy, transaction: at.transaction }), at)
  const wait = decision.kind === 'park' ? decision.wait : null
  journal.store
    .statement(UPDATE_THREAD)
    .run(
      status,
      ended ? decision.endReason : null,
      wait?.reason ?? null,
      wait?.untilMs ?? null,
      write.turn,
      write.turnStartedMs,
      JSON.stringify(write.state),
      JSON.stringify(write.next),
      ended ? JSON.stringify(decision.result) : null,
      live.runner.version,
      at.nowIso,
      ended ? at.nowIso : null,
      live.id,
    )
  if (ended) return { notify: endThread(journal, live, { decision, continuedBy, late: write.applied, nowIso: at.nowIso }) }
  if (decision.kind === 'turn') return NOBODY
  leases.release(live.id, live.epoch)
  return status === from ? NOBODY : { notify: tellWaiting(journal, live, decision) }
}

/** Nobody waits for the answer to a question of a thread that has ended. */
function closeQuestions(journal: Journal, live: LiveThread, at: WriteMoment): void {
  const approvals = openApprovals(journal.store, live.id)
  if (approvals.length === 0) return
  journal.put(live, journal.prepare(live, { approvals }, { step: null, transaction: at.transaction }), at)
}

function statusAfter(decision: Decision): Status {
  if (decision.kind === 'turn') return 'running'
  return decision.kind === 'park' ? decision.status : statusOf(decision.endReason)
}

function moveTo(live: LiveThread, status: Status, transaction: Transaction): void {
  const from = live.status
  assertTransition(live.id, from, status)
  live.status = status
  transaction.onRollback(() => {
    live.status = from
  })
}

function prepareStatus(
  journal: Journal,
  live: LiveThread,
  at: {
    readonly from: Status
    readonly decision: Decision
    readonly continuedBy: string | null
    readonly transaction: Transaction
  },
): PreparedCommit {
  const { decision, continuedBy } = at
  const reason = decision.kind === 'end' ? decision.endReason : decision.kind === 'park' ? (decision.wait?.reason ?? null) : null
  const payload = {
    status: live.status,
    from: at.from,
    ...(reason === null ? {} : { reason }),
    ...(continuedBy === null ? {} : { continued_by: continuedBy }),
  }
  const commit: Commit = { events: [{ type: 'status', payload }] }
  return journal.prepare(live, commit, { step: null, transaction: at.transaction })
}
