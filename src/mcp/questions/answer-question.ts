import { setTimeout as delay } from 'node:timers/promises'
import type { ExecutionContext } from '../../kernel/chain/primitive.ts'
import type { MetaToolResult } from '../../kernel/contract.ts'
import type { ApprovalRow } from '../../threads/approvals/approval.ts'
import { needsPerson } from '../../threads/status.ts'
import type { McpProject } from '../contract.ts'
import type { FormAnswer } from './question-form.ts'

/** A place in which questions are answered: the client as the operator of one project. */
export interface AnswerPlace {
  readonly open: McpProject
  readonly projectPath: string
  readonly origin: NonNullable<ExecutionContext['__caller']>
  readonly signal: AbortSignal
}

/** With what follows, less than a call may take. */
const ANSWER_TIMEOUT_MS = 35_000
const TAKE_UP_MS = 5_000
const POLL_MS = 50

/** Answers by the tool that every operator answers by, so that what holds for it holds here. */
export async function answerQuestion(
  place: AnswerPlace,
  { approval_id, thread_id }: ApprovalRow,
  { decision, reason, amounts }: FormAnswer,
): Promise<MetaToolResult> {
  const { open, projectPath, origin, signal } = place
  const parameters = { approval_id, decision, ...(reason === '' ? {} : { reason }), ...amounts }
  const answered = await open.kernel.execute(
    { item_type: 'tool', item_id: 'answer_approval', parameters },
    { projectPath, __caller: origin, signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]) },
  )
  await takenUp(place, thread_id)
  return answered
}

/**
 * A thread whose last question is closed still waits until its host has seen that; whoever looked before would be told that it needs
 * somebody. Resolves when it has gone on, asks again, or after a few seconds, and no later than `withinMs`.
 */
export async function takenUp(
  { open: { threads }, signal }: AnswerPlace,
  threadId: string,
  withinMs: number = TAKE_UP_MS,
): Promise<void> {
  const deadline = performance.now() + Math.min(TAKE_UP_MS, withinMs)
  while (performance.now() < deadline && !signal.aborted) {
    const { status, wait_reason: reason } = threads.get(threadId)
    if (status !== 'waiting' || !needsPerson(status, reason)) return
    if (threads.approvals.list({ thread_id: threadId, status: 'pending', limit: 1 }).length > 0) return
    await delay(POLL_MS)
  }
}
