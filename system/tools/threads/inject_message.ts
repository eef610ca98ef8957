import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { intervene } from '../../../src/harness/safety/interventions/thread-control.ts'
import type { SignalReceipt } from '../../../src/harness/safety/interventions/thread-control.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.1.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ = 'Say something to a running thread; its model reads it at the next turn.'
export const __requires__ = ['thread.orchestrate'] as const
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id', 'content'],
  properties: {
    thread_id: { type: 'string', minLength: 1 },
    role: {
      type: 'string',
      enum: ['system', 'user'],
      default: 'user',
      description: 'system: marked as coming from the system, not from the user.',
    },
    content: { type: 'string', minLength: 1, maxLength: 100000 },
    reason: { type: 'string', default: '', maxLength: 2000, description: 'Why; logged, not told to the model.' },
  },
}

interface Parameters {
  readonly thread_id: string
  readonly role: 'system' | 'user'
  readonly content: string
  readonly reason: string
}

/** Messages are seen once, in the order in which they were sent. */
export default async function tool(parameters: Parameters, context: ExecutionContext): Promise<SignalReceipt> {
  const { thread_id: threadId, role, content, reason } = parameters
  return intervene(servicesOf(context), context, { threadId, action: 'inject', reason, body: { role, content } })
}
