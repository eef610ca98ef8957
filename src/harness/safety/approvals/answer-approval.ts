import type { Json, JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { Actor, ApprovalAnswer, ApprovalDecision, ApprovalRow } from '../../../threads/approvals/approval.ts'
import { assertMayAct } from '../interventions/allowed-actions.ts'
import { callerOf, mayRun } from '../interventions/caller.ts'
import type { Caller } from '../interventions/caller.ts'
import { callingThread } from '../interventions/thread-access.ts'
import type { HarnessServices } from '../services.ts'
import { approvalView } from './approval-view.ts'
import { carryOutChange } from '../changes/carry-out.ts'

export interface AnswerRequest {
  readonly approvalId: string
  readonly decision: ApprovalDecision
  /** Told to the thread, and logged; empty for none. */
  readonly reason: string
  /** `add_usd`, `add_turns`, `add_tokens`, `add_tool_calls`, `add_seconds`, each above 0; empty: what a question about a limit asks for. */
  readonly amounts: JsonObject
}

/**
 * Answers one question. The operator answers all; a thread those of its descendants under `thread.approve`, but for changes: a tool only where it
 * may execute that itself, and money only out of its own account. What agrees to a change carries it out first, so that a question whose
 * change failed stays open.
 *
 * @throws {KiwiError} APPROVAL_NOT_FOUND, APPROVAL_CLOSED, PERMISSION_DENIED, INVALID_REQUEST, BUDGET_EXCEEDED; ITEM_CHANGED and what else
 *   carrying out a change throws.
 */
export async function answerApproval(
  services: HarnessServices,
  context: ExecutionContext,
  request: AnswerRequest,
): Promise<JsonObject> {
  const { approvals } = services.threads
  const { approvalId, decision } = request
  const row = approvals.get(approvalId)
  const caller = await callerOf(services, context)
  assertMayAct(services.threads, services.threads.get(row.thread_id), { caller, action: 'answer' })
  const reason = services.redactor(callingThread(context) ?? row.thread_id).text(request.reason)
  // A step that is repeated after a crash has answered already.
  if (isOwn(row.answer, { decision, reason, by: caller.by }, context)) return approvalView(row)
  const amounts = amountsFor(row, request)
  if (caller.kind === 'thread') assertThreadMayAnswer(caller, row, amounts)
  if (row.status !== 'pending') throw closed(row)
  const done = await carriedOut(services, context, { row, decision })
  const answer: ApprovalAnswer = { decision, reason, by: caller.by, facts: { ...amounts, ...done } }
  try {
    return approvalView(await approvals.answer(approvalId, answer))
  } catch (error) {
    throw error instanceof KiwiError && Object.keys(done).length > 0 ? doneAllTheSame(error, done) : error
  }
}

/** In the operator's own process, under the approval's id, by which a second time finds what the first one did. */
async function carriedOut(
  services: HarnessServices,
  context: ExecutionContext,
  { row, decision }: { readonly row: ApprovalRow; readonly decision: ApprovalDecision },
): Promise<JsonObject> {
  if (row.kind !== 'change' || decision === 'deny') return {}
  const done = await carryOutChange(services, { ...context, __idempotency_key: `approval/${row.approval_id}` }, row.subject)
  return services.redactor(row.thread_id).json(done)
}

function doneAllTheSame(error: KiwiError, done: JsonObject): KiwiError {
  return new KiwiError(error.code, `${error.message} The change was carried out all the same.`, {
    ...error.context,
    facts: { ...error.context.facts, done },
    error,
  })
}

/** What is added to the thread's limits: what was given, else what a question about a limit asks for. */
function amountsFor({ kind, subject }: ApprovalRow, { decision, amounts }: AnswerRequest): JsonObject {
  const given = Object.keys(amounts)
  if (decision === 'deny') {
    if (given.length === 0) return {}
    throw new KiwiError('INVALID_REQUEST', `A no adds nothing, but ${given.join(' and ')} was given.`, {
      suggestion: 'Leave the amounts out, or approve.',
    })
  }
  const wrong = Object.entries(amounts).find(
    ([, amount]) => typeof amount !== 'number' || !Number.isFinite(amount) || amount <= 0,
  )
  if (wrong !== undefined)
    throw new KiwiError('INVALID_REQUEST', `Expected ${wrong[0]} to be a number above 0, got ${JSON.stringify(wrong[1])}.`)
  return given.length > 0 || kind !== 'budget' ? amounts : objectOf(subject['ask'])
}

/** What the door of the tool cannot see: a person alone signs and raises limits, and nobody lets others do what they may not do themselves. */
function assertThreadMayAnswer(caller: Caller & { readonly kind: 'thread' }, row: ApprovalRow, amounts: JsonObject): void {
  const { approval_id: approvalId, kind, subject } = row
  const refuse = (why: string, missing: string): never => {
    throw new KiwiError('PERMISSION_DENIED', `Thread ${caller.threadId} may not answer approval ${approvalId}: ${why}.`, {
      facts: { approval_id: approvalId, thread_id: row.thread_id, caller_thread_id: caller.threadId, missing: [missing] },
      suggestion: 'Leave it to a person, who sees it in kiwi approvals.',
    })
  }
  if (kind === 'change') refuse('only a person signs or changes an item', 'the agreement of a person')
  const { tool } = subject
  if (kind === 'tool' && (typeof tool !== 'string' || !mayRun(caller, tool)))
    refuse(`it may not execute ${JSON.stringify(tool)} itself`, `tool.execute ${JSON.stringify(tool)}`)
  const beyond = Object.keys(amounts).filter((name) => name !== 'add_usd')
  if (beyond.length > 0) refuse(`a thread gives others money alone, and not ${beyond.join(', ')}`, beyond.join(', '))
}

function isOwn(
  answer: ApprovalAnswer | null,
  { decision, reason, by }: Pick<ApprovalAnswer, 'decision' | 'reason' | 'by'>,
  { __idempotency_key: key }: ExecutionContext,
): boolean {
  if (answer === null || key === undefined || answer.decision !== decision || answer.reason !== reason) return false
  return sameThread(answer.by, by)
}

function sameThread(one: Actor, other: Actor): boolean {
  return one.kind === 'thread' && other.kind === 'thread' && one.thread_id === other.thread_id
}

function closed({ approval_id: approvalId, thread_id: threadId, status }: ApprovalRow): KiwiError {
  return new KiwiError('APPROVAL_CLOSED', `Approval ${approvalId} waits for no answer any more: it is ${status}.`, {
    facts: { approval_id: approvalId, thread_id: threadId, status },
    suggestion: `Look at what became of the thread with "kiwi show ${threadId}".`,
  })
}

function objectOf(value: Json | undefined): JsonObject {
  // Neither null nor an array: what is left of Json is an object.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}
