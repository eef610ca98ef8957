import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { assertAllowed } from '../../../src/harness/safety/interventions/allowed-actions.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { explainThread } from '../../../src/harness/safety/why/explain-thread.ts'
import type { Explanation } from '../../../src/harness/safety/why/explain-thread.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Explain why a thread ended or waits: verdict, denials, the failing link of a tool, limits and what was used of them, open questions, last events.'
export const __requires__ = ['thread.orchestrate'] as const
export const __effect__ = 'pure'
export const __loop__ = { poll: true }
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id'],
  properties: {
    thread_id: { type: 'string', minLength: 1 },
    events: { type: 'integer', minimum: 1, maximum: 1000, default: 30, description: 'How many of the last events.' },
  },
}

/** The operator asks about every thread, a thread about itself and those that it may read. */
export default async function tool(
  parameters: { readonly thread_id: string; readonly events: number },
  context: ExecutionContext,
): Promise<Explanation> {
  const services = servicesOf(context)
  await assertAllowed(services, context, { threadId: parameters.thread_id, action: 'read' })
  return explainThread(services.threads, parameters.thread_id, { events: parameters.events })
}
