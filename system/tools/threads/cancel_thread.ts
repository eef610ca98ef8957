import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { sendSignal } from '../../../src/harness/safety/interventions/thread-control.ts'
import type { SignalReceipt } from '../../../src/harness/safety/interventions/thread-control.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ = 'End a thread and everything below it for good.'
export const __requires__ = ['thread.orchestrate'] as const
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id'],
  properties: {
    thread_id: { type: 'string', minLength: 1 },
    mode: {
      type: 'string',
      enum: ['graceful', 'now'],
      default: 'graceful',
      description: 'graceful lets the running step end; now stops it.',
    },
    reason: { type: 'string', default: '', description: 'Why; kept with the signal.' },
  },
}

interface Parameters {
  readonly thread_id: string
  readonly mode: 'graceful' | 'now'
  readonly reason: string
}

/** The intent is durable when this answers; the status follows when everything has stopped. */
export default async function tool(parameters: Parameters, context: ExecutionContext): Promise<SignalReceipt> {
  const { thread_id: threadId, mode, reason } = parameters
  return sendSignal(servicesOf(context), context, { threadId, kind: 'cancel', body: { mode, reason } })
}
