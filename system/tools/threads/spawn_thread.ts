import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { spawnHarness } from '../../../src/harness/safety/spawning/spawn-harness.ts'
import type { HarnessCall } from '../../../src/harness/safety/spawning/spawn-harness.ts'
import { spawnThread } from '../../../src/harness/safety/spawning/spawning.ts'
import type { SpawnCall } from '../../../src/harness/safety/spawning/spawning.ts'
import type { SpawnReceipt } from '../../../src/threads/threads-client.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.2.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Spawn a directive, or a harness of your own without one, on a thread with an id of your choice. Lowest layer of spawning; models use thread_directive.'
export const __requires__ = ['spawn.thread'] as const
export const __effect__ = 'once'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id'],
  properties: {
    thread_id: { type: 'string', description: 'Letters, digits, "_" and "-"; spaces become "_".' },
    directive_name: { type: 'string', minLength: 1, description: 'Signed directive with version, model, cost and permissions.' },
    initial_message: { type: 'string', description: 'The request to the thread. Default: "Execute this directive."' },
    inputs: { type: 'object', description: 'Inputs of the directive, or of the harness.' },
    project_path: { type: 'string', description: 'Absolute path of the project, when it is not the current one.' },
    on_parent_end: {
      type: 'string',
      enum: ['cancel', 'detach'],
      default: 'cancel',
      description: 'Inside a thread: detach lets it go on when this thread ends or is cancelled.',
    },
    harness: { type: 'string', default: 'safety_harness', description: 'Signed tool of type harness that runs the thread.' },
    cost: {
      type: 'object',
      description:
        'Only without directive_name, and then required: the fields of <cost>, such as {"max_turns": 10, "on_exceeded": "stop", "max_cost_usd": 0.5}.',
    },
  },
}

/** Answers when the thread's row is durable; the run itself goes on in the background. */
export default async function tool(
  parameters: HarnessCall & Partial<Pick<SpawnCall, 'directive_name' | 'on_parent_end'>>,
  context: ExecutionContext,
): Promise<SpawnReceipt> {
  const spawner = { services: servicesOf(context), context }
  const { directive_name: name, cost, ...call } = parameters
  if (name === undefined) return spawnHarness(spawner, parameters)
  if (cost === undefined) return spawnThread(spawner, { ...call, directive_name: name })
  throw new KiwiError('INVALID_REQUEST', 'cost cannot be given with directive_name: a directive has its own, which was signed.', {
    suggestion: `Leave cost out, or change <cost> of the directive ${name}.`,
  })
}
