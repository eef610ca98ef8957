import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { readEvents, readToolOutput } from '../../../src/harness/safety/interventions/transcript-pages.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.1.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Read what a thread did so far, also while it runs: its last events with their messages, those since a seq in pages, or, with call_id, the whole output of one tool call in pages.'
export const __requires__ = ['thread.orchestrate'] as const
export const __effect__ = 'pure'
export const __loop__ = { poll: true }
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['thread_id'],
  properties: {
    thread_id: { type: 'string', minLength: 1 },
    last_n: { type: 'integer', minimum: 1, maximum: 1000, default: 20, description: 'How many of the last events.' },
    since_seq: {
      type: 'integer',
      minimum: 0,
      description: 'Instead of the last, the events after this one; go on at next_since_seq.',
    },
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100, description: 'With since_seq: most events at once.' },
    types: {
      type: 'array',
      minItems: 1,
      maxItems: 20,
      items: { type: 'string', minLength: 1, maxLength: 64 },
      description: 'Only events of these types, such as tool_call and tool_result.',
    },
    arguments: {
      type: 'boolean',
      default: false,
      description: 'Show with each tool_call all that it was given; a thread sees that of its descendants only.',
    },
    call_id: {
      type: 'string',
      minLength: 1,
      description: 'Instead of events, the output of this tool call (call_id of a tool_result event).',
    },
    offset: { type: 'integer', minimum: 0, default: 0, description: 'With call_id: first character; go on at next_offset.' },
  },
}

interface Parameters {
  readonly thread_id: string
  readonly last_n: number
  readonly since_seq?: number
  readonly limit: number
  readonly types?: readonly string[]
  readonly arguments: boolean
  readonly call_id?: string
  readonly offset: number
}

/** The operator reads every thread, a thread itself and its descendants. */
export default async function tool(parameters: Parameters, context: ExecutionContext): Promise<JsonObject> {
  const { thread_id: threadId, call_id: callId, last_n: lastN, since_seq: sinceSeq, limit, types, offset } = parameters
  const services = servicesOf(context)
  if (callId !== undefined) return readToolOutput(services, context, { threadId, callId, offset })
  return readEvents(services, context, {
    threadId,
    lastN,
    limit,
    withArguments: parameters.arguments,
    ...(sinceSeq === undefined ? {} : { sinceSeq }),
    ...(types === undefined ? {} : { types }),
  })
}
