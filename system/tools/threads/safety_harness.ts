import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { createSafetyHarness } from '../../../src/harness/safety/safety-harness.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import type { HarnessServices } from '../../../src/harness/safety/services.ts'
import { spawnSafely } from '../../../src/harness/safety/spawning/spawning.ts'
import type { SpawnCall } from '../../../src/harness/safety/spawning/spawning.ts'
import type { Runner } from '../../../src/threads/engine.ts'
import type { SpawnReceipt } from '../../../src/threads/threads-client.ts'

export const __tool_type__ = 'harness'
export const __version__ = '1.1.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Run directives under budgets, context limits, loop detection and signals. Called as a tool it spawns one under an id it makes; models use thread_directive.'
export const __requires__ = ['spawn.thread'] as const
export const __effect__ = 'once'
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

/** What a host asks for by this tool's name. */
export const harness = (services: HarnessServices): Runner => createSafetyHarness(services)

/** Answers when the thread's row is durable; the run itself goes on in the background. */
export default async function tool(parameters: SpawnCall, context: ExecutionContext): Promise<SpawnReceipt> {
  return spawnSafely({ services: servicesOf(context), context }, parameters)
}
