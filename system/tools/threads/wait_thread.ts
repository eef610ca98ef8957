import type { JsonObject } from '../../../src/json.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'
import { waitForThreads } from '../../../src/harness/safety/interventions/wait-threads.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.1.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'Wait until threads have ended and get their results. Outside a thread it also answers when one needs a person, and after at most 44 seconds: call it again while settled is false. Inside a thread, waiting for children costs no turn and no money.'
export const __requires__ = ['thread.orchestrate'] as const
export const __effect__ = 'pure'
export const __loop__ = { poll: true }
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  properties: {
    thread_id: { type: 'string', minLength: 1, description: 'One thread.' },
    thread_ids: {
      type: 'array',
      minItems: 1,
      maxItems: 100,
      items: { type: 'string', minLength: 1 },
      description: 'Or several.',
    },
    timeout_seconds: {
      type: 'number',
      minimum: 0,
      maximum: 86400,
      description: 'Default 44, and never more outside a thread. Inside a thread default 3600.',
    },
    wake_on_waiting: {
      type: 'boolean',
      description:
        'Inside a thread: answer as soon as one of them waits for a person. Default: when you may answer for it (thread.approve).',
    },
  },
}

interface Parameters {
  readonly thread_id?: string
  readonly thread_ids?: readonly string[]
  readonly timeout_seconds?: number
  readonly wake_on_waiting?: boolean
}

/** Gives the threads as they are when all have settled or the time is over. */
export default async function tool(parameters: Parameters, context: ExecutionContext): Promise<JsonObject> {
  const { thread_id: one, thread_ids: several, timeout_seconds: timeoutSeconds, wake_on_waiting: wakeOnWaiting } = parameters
  const threadIds = [...(one === undefined ? [] : [one]), ...(several ?? [])]
  if (threadIds.length === 0) throw new KiwiError('INVALID_REQUEST', 'wait_thread needs thread_id or thread_ids.')
  return waitForThreads(servicesOf(context), context, { threadIds, timeoutSeconds, wakeOnWaiting })
}
