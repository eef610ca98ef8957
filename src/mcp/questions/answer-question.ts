import { setTimeout as delay } from 'node:timers/promises'
import type { ExecutionContext } from '../../kernel/chain/primitive.ts'
import type { MetaToolResult } from '../../kernel/contract.ts'
import type { ApprovalRow } from '../../threads/approvals/approval.ts'
import type { McpProject } from '../contract.ts'
import type { FormAnswer } from './question-form.ts'

/** A place in which questions are answered: the client as the operator of one project. */
export interface AnswerPlace {
  readonly open: McpProject
  readonly projectPath: string
  readonly origin: NonNullable<ExecutionContext['__caller']>
  readonly signal: AbortSignal
}

const ANSWER_TIMEOUT_MS = 40_000
const TAKE_UP_MS = 5_000
const POLL_MS = 50

/** Answers by the tool that every operator answers by, so that what holds for it holds here. */
export async function answerQuestion(
  { open, projectPath, origin, signal }: AnswerPlace,
  { approval_id, thread_id }: ApprovalRow,
  { decision, reason, amounts }: FormAnswer,
): Promise<MetaToolResult> {
  const before = lastStatus(open, thread_id)
  const parameters = { approval_id, decision, ...(reason === '' ? {} : { reason }), ...amounts }
  const answered = await open.kernel.execute(
    { item_type: 'tool', item_id: 'answer_approval', parameters },
    { projectPath, __caller: origin, signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]) },
  )
  if (answered.success) await takenUp(open, thread_id, { before, signal })
  return answered
}

/** A thread waits until its host has seen the answer; whoever looked before that would be told that it still needs somebody. */
async function takenUp(
  { threads }: McpProject,
  threadId: string,
  { before, signal }: { readonly before: number; readonly signal: AbortSignal },
): Promise<void> {
  const deadline = performance.now() + TAKE_UP_MS
  const waitsForMore = (): boolean => threads.approvals.list({ thread_id: threadId, status: 'pending', limit: 1 }).length > 0
  while (performance.now() < deadline && !signal.aborted) {
    if (lastStatus({ threads }, threadId) !== before || waitsForMore()) return
    await delay(POLL_MS)
  }
}

function lastStatus({ threads }: Pick<McpProject, 'threads'>, threadId: string): number {
  return threads.events(threadId, { type: 'status', last: 1 })[0]?.seq ?? 0
}
