import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { cancelThread } from '../../../src/harness/safety/interventions/cancel-thread.ts'
import type { CancelReceipt } from '../../../src/harness/safety/interventions/cancel-thread.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.1.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'End a thread and everything below it for good, but for detached threads. Says how many it reaches and which go on.'
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
    reason: { type: 'string', default: '', maxLength: 2000, description: 'Why; kept in the log of each thread that ends by it.' },
  },
}

interface Parameters {
  readonly thread_id: string
  readonly mode: 'graceful' | 'now'
  readonly reason: string
}

/** The intent is durable when this answers; the status follows when everything has stopped. */
export default async function tool(parameters: Parameters, context: ExecutionContext): Promise<CancelReceipt> {
  const { thread_id: threadId, mode, reason } = parameters
  return cancelThread(servicesOf(context), context, { threadId, mode, reason })
}
