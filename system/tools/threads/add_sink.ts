import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { addSink } from '../../../src/harness/safety/interventions/add-sink.ts'
import type { SignalReceipt } from '../../../src/harness/safety/interventions/thread-control.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Send the model stream of a thread to one more place, from its next model call on: a file of the project, a WebSocket, or any sink.'
export const __requires__ = ['thread.orchestrate'] as const
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id', 'destination'],
  properties: {
    thread_id: { type: 'string', minLength: 1 },
    destination: {
      type: 'object',
      required: ['type'],
      description:
        'As in the file of a tool: type, and what that sink takes, such as path or url; {thread_id} stands for the id.',
      properties: {
        type: { type: 'string', minLength: 1, description: 'file_sink, websocket_sink, or another sink.' },
        on_error: {
          type: 'string',
          enum: ['drop', 'retry', 'fail'],
          description: 'What a broken sink means; default drop: what it loses is counted, and the thread goes on.',
        },
        buffer: { type: 'integer', minimum: 1, maximum: 1000000, description: 'Most events that wait for it.' },
      },
    },
    reason: { type: 'string', default: '', maxLength: 2000, description: 'Why; logged.' },
  },
}

interface Parameters {
  readonly thread_id: string
  readonly destination: JsonObject
  readonly reason: string
}

/** Checked when it is added; a thread adds only what its own token allows the sink. */
export default async function tool(parameters: Parameters, context: ExecutionContext): Promise<SignalReceipt> {
  const { thread_id: threadId, destination, reason } = parameters
  return addSink(servicesOf(context), context, { threadId, destination, reason })
}
