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
  'Start another thread from an earlier point of a thread, running or ended: its conversation up to an event, a new message, fresh limits. What the thread did later is not undone.'
export const __requires__ = ['thread.orchestrate'] as const
// Inside a thread the id follows from the step, so a repeated step finds the thread it made.
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id'],
  properties: {
    thread_id: { type: 'string', minLength: 1 },
    at_seq: { type: 'integer', minimum: 1, description: 'seq of the event up to which the conversation is taken.' },
    checkpoint: { type: 'string', minLength: 1, description: 'Or the name of a checkpoint; the newest of that name.' },
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
  return continueThread({ services: servicesOf(context), context }, 'fork', parameters)
}
