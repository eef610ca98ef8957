import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { intervene, refuseAmountsFromThreads } from '../../../src/harness/safety/interventions/thread-control.ts'
import type { SignalReceipt } from '../../../src/harness/safety/interventions/thread-control.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.1.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Let a paused or waiting thread go on, with a message for it and, where a limit was reached, more of what it lacks.'
export const __requires__ = ['thread.orchestrate'] as const
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id'],
  properties: {
    thread_id: { type: 'string', minLength: 1 },
    message: { type: 'string', minLength: 1, maxLength: 100000, description: 'A user message for its next turn.' },
    inject_message: { type: 'string', description: 'The same as message.' },
    add_turns: { type: 'integer', minimum: 1, description: 'Added to max_turns.' },
    add_usd: { type: 'number', exclusiveMinimum: 0, description: 'Added to max_cost_usd.' },
    add_tokens: { type: 'integer', minimum: 1, description: 'Added to each token limit.' },
    add_tool_calls: { type: 'integer', minimum: 1, description: 'Added to max_tool_calls.' },
    add_seconds: { type: 'integer', minimum: 1, description: 'Added to max_duration_seconds.' },
    reason: { type: 'string', default: '', maxLength: 2000, description: 'Why; logged, not told to the model.' },
  },
}

type Parameters = {
  readonly thread_id: string
  readonly message?: string
  readonly inject_message?: string
  readonly reason: string
} & JsonObject

/** What is added is the operator's to give; a thread resumes its descendants as they are. */
export default async function tool(parameters: Parameters, context: ExecutionContext): Promise<SignalReceipt> {
  const { thread_id: threadId, inject_message: other, message = other, reason, ...amounts } = parameters
  refuseAmountsFromThreads(context, amounts)
  const body = { ...amounts, ...(message === undefined ? {} : { message }) }
  return intervene(servicesOf(context), context, { threadId, action: 'resume', reason, body })
}
