import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { spawnDirective } from '../../../src/harness/safety/spawning/spawning.ts'
import type { SpawnCall } from '../../../src/harness/safety/spawning/spawning.ts'
import type { SpawnReceipt } from '../../../src/threads/threads-client.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.1.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Run a directive in the background on a managed thread. Answers at once with a thread_id; get the result with wait_thread.'
export const __requires__ = ['thread.orchestrate'] as const
// Inside a thread the id follows from the step, so a repeated step finds the child it made.
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['directive_name'],
  properties: {
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
  },
}

/** Checks the directive and spawns it; from inside a thread as its child, on a part of its budget. */
export default async function tool(parameters: SpawnCall, context: ExecutionContext): Promise<SpawnReceipt> {
  return spawnDirective({ services: servicesOf(context), context }, parameters)
}
