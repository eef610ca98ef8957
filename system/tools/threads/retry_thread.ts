import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { continueThread } from '../../../src/harness/safety/spawning/continue-thread.ts'
import type { ContinueCall, ContinueReceipt } from '../../../src/harness/safety/spawning/continue-thread.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Go on with the work of a thread that has ended, in a new thread of the same chain: its whole conversation, a new message, fresh limits, the directive as it is signed now.'
export const __requires__ = ['thread.orchestrate'] as const
// Inside a thread the id follows from the step, so a repeated step finds the thread it made.
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id'],
  properties: {
    thread_id: { type: 'string', minLength: 1 },
    message: { type: 'string', minLength: 1, maxLength: 100000, description: 'The request to the new thread.' },
    on_parent_end: {
      type: 'string',
      enum: ['cancel', 'detach'],
      default: 'cancel',
      description: 'Inside a thread: detach lets the new thread go on when this thread ends or is cancelled.',
    },
    reason: { type: 'string', default: '', maxLength: 2000, description: 'Why; logged in both threads.' },
  },
}

/** Answers when the new thread's row is durable; the thread that it goes on from stays as it is. */
export default async function tool(parameters: ContinueCall, context: ExecutionContext): Promise<ContinueReceipt> {
  return continueThread({ services: servicesOf(context), context }, 'retry', parameters)
}
