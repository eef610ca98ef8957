import type { Json, JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError, toEnvelope } from '../../../kernel/errors.ts'
import type { ItemType } from '../../../kernel/items/item.ts'
import type { HarnessServices } from '../services.ts'
import { continueThread } from '../spawning/continue-thread.ts'
import type { ChangeCarrier } from './changes.ts'

const TYPES: readonly ItemType[] = ['directive', 'tool', 'knowledge']

/**
 * Writes what was shown in the place of the item, signed with the user's key, and retries the thread that was named. The approval's id in
 * the context makes the second time find the thread that the first one made. A retry that fails is told and does not undo the change.
 *
 * @throws {KiwiError} ITEM_CHANGED when the file is not what the diff was made of; what `Kernel.replace` throws. Nothing is written then.
 */
export const writeChange: ChangeCarrier = async (services, subject, context) => {
  const type = TYPES.find((name) => name === subject['item_type'])
  if (type === undefined) throw new KiwiError('INTERNAL', 'The approval does not say what kind of item is to be changed.')
  const { file, sha256 } = await services.kernel.replace(type, textOf(subject, 'item_id'), {
    content: textOf(subject, 'content'),
    sha256: textOf(subject, 'sha256'),
    baseSha256: textOf(subject, 'base_sha256'),
  })
  return { signed: true, file, sha256, ...(await retry(services, subject, context)) }
}

async function retry(services: HarnessServices, subject: JsonObject, context: ExecutionContext): Promise<JsonObject> {
  const { retry_thread_id: threadId, retry_message: message } = subject
  if (typeof threadId !== 'string') return { retried_thread_id: null }
  const call = {
    thread_id: threadId,
    reason: `the ${textOf(subject, 'item_type')} ${textOf(subject, 'item_id')} was changed`,
    ...(typeof message === 'string' ? { message } : {}),
  }
  try {
    const receipt = await continueThread({ services, context }, 'retry', call)
    return { retried_thread_id: receipt.thread_id }
  } catch (error) {
    const { code, message: what } = toEnvelope(error).error
    return { retried_thread_id: null, retry_error: { code, message: what } }
  }
}

function textOf(subject: JsonObject, name: string): string {
  const value: Json | undefined = subject[name]
  if (typeof value === 'string') return value
  throw new KiwiError('INTERNAL', `The approval does not say its ${name}.`)
}
