import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { howToApply, readyChange } from '../../../src/harness/safety/changes/item-change.ts'
import type { ProposedChange } from '../../../src/harness/safety/changes/item-change.ts'
import { callingThread } from '../../../src/harness/safety/interventions/thread-access.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'core'
export const __description__ =
  'Propose other content for a directive, tool or knowledge file of the project or user. Checks it, then the thread waits: a person sees the diff and the permissions added and removed, and on a yes the file is written, signed, and an ended thread retried.'
// Nothing happens without a person, so that a thread needs no more than to be allowed to ask.
export const __requires__ = [] as const
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['item_type', 'item_id', 'content', 'reason'],
  properties: {
    item_type: { type: 'string', enum: ['directive', 'tool', 'knowledge'] },
    item_id: { type: 'string', minLength: 1, maxLength: 128 },
    content: {
      type: 'string',
      minLength: 1,
      maxLength: 262144,
      description: 'The whole new file: the text that load gives, with the change in it.',
    },
    reason: { type: 'string', minLength: 1, maxLength: 2000, description: 'Why, for the person who decides.' },
    retry_thread_id: { type: 'string', minLength: 1, description: 'An ended thread to retry when the change is made.' },
    retry_message: { type: 'string', minLength: 1, maxLength: 4000, description: 'The request to the retried thread.' },
  },
}

/** On a thread it parks the call until a person has decided; elsewhere it says what would change. */
export default async function tool(parameters: ProposedChange, context: ExecutionContext): Promise<JsonObject> {
  const { title, subject } = await readyChange(servicesOf(context), context, parameters)
  if (callingThread(context) !== null) return { park: { approval: { kind: 'change', title, subject } } }
  const { content: _content, action: _action, ...shown } = subject
  return { ...shown, title, applied: false, how_to_apply: howToApply(parameters, subject.file) }
}
