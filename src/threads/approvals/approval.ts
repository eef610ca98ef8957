import type { JsonObject } from '../../json.ts'

/**
 * A question that a thread has put to somebody who may say no.
 *
 *   P1. One row for each question, written in the transaction that makes the thread wait for it.
 *   P2. An answer counts once, before the expiry, and only where the row still waits for one; no answer means no.
 *   P3. The end of a thread, and the intent to cancel it, settle its open questions in their own transaction.
 */

/**
 * What is asked: to run a tool (`tool`), to help or decide (`escalation`, `stuck`), to go on beyond a limit (`budget`) or in spite of a loop
 * (`loop`), to write and sign an item (`change`).
 */
export type ApprovalKind = 'tool' | 'escalation' | 'stuck' | 'budget' | 'loop' | 'change'

/** `expired` is also what a pending one reads as once its time is over. */
export type ApprovalStatus = 'pending' | 'approved' | 'denied' | 'expired' | 'cancelled'

/** `approve_thread` holds for the same tool until the thread ends or the answer's own expiry; for other kinds it is `approve_once`. */
export type ApprovalDecision = 'approve_once' | 'approve_thread' | 'deny'

/** Who did something to a thread: a person or program at a door, or a thread under its token. */
export type Actor =
  | { readonly kind: 'operator'; readonly door: string; readonly client?: string }
  | { readonly kind: 'thread'; readonly thread_id: string; readonly token: string | null }

export interface NewApproval {
  /** Unique; a function of where it was asked for, so that a replay asks once. */
  readonly approvalId: string
  readonly kind: ApprovalKind
  /** One line: what exactly. */
  readonly title: string
  /** Facts of the kind: `tool`, `parameters`, `path` or `diff`; `limit`, `used`, `max`, `ask`; `reason`. Without secrets. */
  readonly subject: JsonObject
  readonly expiresAtMs: number
}

export interface ApprovalAnswer {
  readonly decision: ApprovalDecision
  readonly reason: string
  readonly by: Actor
  /** Facts of the answer: amounts that were added, what was signed, the thread that was retried. */
  readonly facts: JsonObject
}

/** One row as every door shows it. Times are ISO 8601 UTC. */
export interface ApprovalRow {
  readonly approval_id: string
  readonly thread_id: string
  readonly directive_id: string
  readonly kind: ApprovalKind
  readonly status: ApprovalStatus
  readonly title: string
  readonly subject: JsonObject
  readonly requested_at: string
  readonly expires_at: string
  readonly answered_at: string | null
  readonly answer: ApprovalAnswer | null
}

export interface ApprovalQuery {
  readonly thread_id?: string
  /** The thread and everything below it. */
  readonly root_thread_id?: string
  readonly status?: ApprovalStatus
  /** 1 to 1000, default 100; newest first. */
  readonly limit?: number
}

/** Questions of the threads of one project. */
export interface Approvals {
  /** @throws {KiwiError} APPROVAL_NOT_FOUND */
  get(approvalId: string): ApprovalRow
  list(query?: ApprovalQuery): readonly ApprovalRow[]
  /**
   * Settles one question and gives the answer to its thread, as a signal `approval` with the id `approval:<approval_id>` and the body
   * `{approval_id, kind, decision, reason, by, ...facts}`. Durable when it resolves. Amounts among the facts (`add_usd`, `add_turns`, …) are
   * granted as by a `budget` signal.
   *
   * @throws {KiwiError} APPROVAL_NOT_FOUND; APPROVAL_CLOSED with the fact `status` when it waits for no answer any more; BUDGET_EXCEEDED.
   */
  answer(approvalId: string, answer: ApprovalAnswer): Promise<ApprovalRow>
}

/** What a commit does to questions; part of the transaction that writes it. */
export type ApprovalChange =
  | { readonly do: 'request'; readonly approval: NewApproval }
  /**
   * Nobody answered in time (`expired`), or the question has lost its object because somebody acted otherwise (`cancelled`). Leaves a row
   * alone that was answered meanwhile.
   */
  | { readonly do: 'close'; readonly approvalId: string; readonly as: 'expired' | 'cancelled' }
