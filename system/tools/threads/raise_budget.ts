import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { raiseBudget } from '../../../src/harness/safety/interventions/thread-control.ts'
import type { SignalReceipt } from '../../../src/harness/safety/interventions/thread-control.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Add to the limits of a thread, also while it runs. From a thread: only add_usd, to a thread below it, out of its own money.'
export const __requires__ = ['thread.orchestrate'] as const
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id'],
  properties: {
    thread_id: { type: 'string', minLength: 1 },
    add_usd: { type: 'number', exclusiveMinimum: 0, description: 'Added to max_cost_usd.' },
    add_turns: { type: 'integer', minimum: 1, description: 'Added to max_turns.' },
    add_tokens: { type: 'integer', minimum: 1, description: 'Added to each token limit.' },
    add_tool_calls: { type: 'integer', minimum: 1, description: 'Added to max_tool_calls.' },
    add_seconds: { type: 'integer', minimum: 1, description: 'Added to max_duration_seconds.' },
    reason: { type: 'string', default: '', maxLength: 2000, description: 'Why; logged.' },
  },
}

/** The money is granted when this answers; the other limits are higher from the thread's next turn on. */
export default async function tool(
  parameters: { readonly thread_id: string; readonly reason: string } & JsonObject,
  context: ExecutionContext,
): Promise<SignalReceipt> {
  const { thread_id: threadId, reason, ...amounts } = parameters
  return raiseBudget(servicesOf(context), context, { threadId, reason, amounts })
}
