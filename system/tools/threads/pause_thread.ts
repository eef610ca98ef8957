import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { intervene } from '../../../src/harness/safety/interventions/thread-control.ts'
import type { SignalReceipt } from '../../../src/harness/safety/interventions/thread-control.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.1.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ = 'Pause a thread at its next turn. resume_thread lets it go on.'
export const __requires__ = ['thread.orchestrate'] as const
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id'],
  properties: {
    thread_id: { type: 'string', minLength: 1 },
    message: { type: 'string', minLength: 1, maxLength: 100000, description: 'For its model, which reads it when it goes on.' },
    reason: { type: 'string', default: '', maxLength: 2000, description: 'Why; logged, not told to the model.' },
  },
}

interface Parameters {
  readonly thread_id: string
  readonly message?: string
  readonly reason: string
}

/** The running turn ends first; nothing of it is lost. */
export default async function tool(parameters: Parameters, context: ExecutionContext): Promise<SignalReceipt> {
  const { thread_id: threadId, message, reason } = parameters
  const body = message === undefined ? {} : { message }
  return intervene(servicesOf(context), context, { threadId, action: 'pause', reason, body })
}
