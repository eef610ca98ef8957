import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { spawnThread } from '../../../src/harness/safety/spawning/spawning.ts'
import type { SpawnCall } from '../../../src/harness/safety/spawning/spawning.ts'
import type { SpawnReceipt } from '../../../src/threads/threads-client.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.1.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Spawn a directive on a thread with an id of your choice. Lowest layer of spawning; models use thread_directive.'
export const __requires__ = ['spawn.thread'] as const
export const __effect__ = 'once'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id', 'directive_name'],
  properties: {
    thread_id: { type: 'string', description: 'Letters, digits, "_" and "-"; spaces become "_".' },
    directive_name: { type: 'string', minLength: 1, description: 'Signed directive with version, model, cost and permissions.' },
    initial_message: { type: 'string', default: 'Execute this directive.', description: 'The request to the thread.' },
    inputs: { type: 'object', description: "The directive's inputs." },
    project_path: { type: 'string', description: 'Absolute path of the project, when it is not the current one.' },
    on_parent_end: {
      type: 'string',
      enum: ['cancel', 'detach'],
      default: 'cancel',
      description: 'Inside a thread: detach lets it go on when this thread ends or is cancelled.',
    },
    harness: { type: 'string', default: 'safety_harness', description: 'Tool of type harness that runs the thread.' },
  },
}

/** Answers when the thread's row is durable; the run itself goes on in the background. */
export default async function tool(
  parameters: SpawnCall & { readonly thread_id: string; readonly harness: string },
  context: ExecutionContext,
): Promise<SpawnReceipt> {
  return spawnThread({ services: servicesOf(context), context }, parameters)
}
