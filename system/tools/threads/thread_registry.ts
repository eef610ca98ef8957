import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { registryAction } from '../../../src/harness/safety/interventions/registry-actions.ts'
import type { RegistryRequest } from '../../../src/harness/safety/interventions/registry-actions.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.1.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Look into the registry of threads: get_status and query for status, turns and usage, tree for a thread with everything below it, get_events for what happened, log_event to note something, update_status to pause, resume or end, register to spawn under an id.'
export const __requires__ = ['registry.read', 'registry.write'] as const
export const __effect__ = 'once'
export const __loop__ = { poll: true }
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['action'],
  properties: {
    action: { type: 'string', enum: ['register', 'update_status', 'get_status', 'query', 'tree', 'log_event', 'get_events'] },
    thread_id: { type: 'string', description: 'For every action but query.' },
    directive_id: { type: 'string', description: 'register: directive to run. query: only its threads.' },
    harness: { type: 'string', description: 'register: default safety_harness.' },
    initial_message: { type: 'string', description: 'register: the request to the thread.' },
    inputs: { type: 'object', description: "register: the directive's inputs." },
    status: { type: 'string', description: 'update_status: paused, running, terminating or killed. query: only this status.' },
    reason: { type: 'string', maxLength: 2000, description: 'update_status: why; logged.' },
    event_type: {
      type: 'string',
      pattern: '^[a-z][a-z0-9_]{0,63}$',
      description: 'log_event: a type of your own, such as note.',
    },
    payload: { type: 'object', description: 'log_event: what to note.' },
    since_seq: { type: 'integer', minimum: 0, description: 'get_events: only later ones.' },
    last_n: { type: 'integer', minimum: 1, maximum: 1000, description: 'get_events: only the last ones.' },
    created_after: { type: 'string', description: 'query: ISO 8601 time.' },
    created_before: { type: 'string', description: 'query: ISO 8601 time.' },
    limit: { type: 'integer', minimum: 1, maximum: 1000, description: 'query, get_events: most rows.' },
    order_by: { type: 'string', enum: ['created_at', 'created_at_desc', 'updated_at', 'updated_at_desc'] },
  },
}

/** One action on the registry of this project's threads. */
export default async function tool(parameters: RegistryRequest, context: ExecutionContext): Promise<object> {
  return registryAction(servicesOf(context), context, parameters)
}
