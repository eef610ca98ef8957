import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import type { ApprovalDecision } from '../../../src/threads/approvals/approval.ts'
import { answerApproval } from '../../../src/harness/safety/approvals/answer-approval.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Answer what a thread asks: list_approvals shows the questions. From a thread: for threads below it, only for tools that it may execute itself, and with money alone. What signs or changes an item is for a person.'
export const __requires__ = ['thread.approve'] as const
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['approval_id', 'decision'],
  properties: {
    approval_id: { type: 'string', minLength: 1, maxLength: 256 },
    decision: {
      type: 'string',
      enum: ['approve_once', 'approve_thread', 'deny'],
      description: 'approve_thread: also for further calls of the same tool by that thread.',
    },
    reason: { type: 'string', default: '', maxLength: 2000, description: 'Why; told to the thread and logged.' },
    add_usd: {
      type: 'number',
      exclusiveMinimum: 0,
      description: 'Added to its max_cost_usd. Default: what the question asks for.',
    },
    add_turns: { type: 'integer', minimum: 1, description: 'Added to its max_turns.' },
    add_tokens: { type: 'integer', minimum: 1, description: 'Added to each of its token limits.' },
    add_tool_calls: { type: 'integer', minimum: 1, description: 'Added to its max_tool_calls.' },
    add_seconds: { type: 'integer', minimum: 1, description: 'Added to its max_duration_seconds.' },
  },
}

interface Parameters extends JsonObject {
  readonly approval_id: string
  readonly decision: ApprovalDecision
  readonly reason: string
}

/** The answer is durable when this returns, and a change that was agreed to is made; the thread goes on by itself. */
export default async function tool(parameters: Parameters, context: ExecutionContext): Promise<JsonObject> {
  const { approval_id: approvalId, decision, reason, ...amounts } = parameters
  return answerApproval(servicesOf(context), context, { approvalId, decision, reason, amounts })
}
