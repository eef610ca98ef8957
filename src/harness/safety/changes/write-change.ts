import type { Json, JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import type { Revision } from '../../../kernel/contract.ts'
import { KiwiError, toEnvelope } from '../../../kernel/errors.ts'
import type { ItemType } from '../../../kernel/items/item.ts'
import { canonicalJson } from '../limits/loops.ts'
import type { HarnessServices } from '../services.ts'
import { continueThread } from '../spawning/continue-thread.ts'
import { changeView } from './change-view.ts'
import type { ChangeCarrier } from './contract.ts'
import { unseenIn } from './unseen.ts'

const TYPES: readonly ItemType[] = ['directive', 'tool', 'knowledge']

/**
 * Writes what was shown in the place of the item, signed with the user's key, and retries the thread that was named. The approval's id in
 * the context makes the second time find the thread that the first one made. A retry that fails is told and does not undo the change.
 *
 * @throws {KiwiError} ITEM_CHANGED when the file is not what the diff was made of, or the content not what the diff leads to; what
 *   `Kernel.replace` throws. Nothing is written then.
 */
export const writeChange: ChangeCarrier = async (services, subject, context) => {
  const type = TYPES.find((name) => name === subject['item_type'])
  if (type === undefined) throw new KiwiError('INTERNAL', 'The approval does not say what kind of item is to be changed.')
  const id = textOf(subject, 'item_id')
  const replacement = {
    content: textOf(subject, 'content'),
    sha256: textOf(subject, 'sha256'),
    baseSha256: textOf(subject, 'base_sha256'),
  }
  const revision = await services.kernel.revise(type, id, replacement.content)
  const { before, after } = revision
  const isDone = before.trusted && before.sha256 === replacement.sha256
  // What could not be signed says so itself.
  if (!isDone && after.item.state.kind === 'available') await assertShown(services, subject, revision)
  const { file, sha256 } = await services.kernel.replace(type, id, replacement)
  return { signed: true, file, sha256, ...(await retry(services, subject, context)) }
}

/** A registry can come with the project of somebody else: what it says of a change is believed only where it comes out the same here. */
async function assertShown(services: HarnessServices, subject: JsonObject, revision: Revision): Promise<void> {
  const isWhole = subject['base_trusted'] !== true
  const { item, trusted } = revision.before
  const view = services.redactor().json<JsonObject>(await changeView(services, revision, { isWhole }))
  const shown = Object.fromEntries(VIEWED.map((name) => [name, subject[name] ?? null]))
  const made = Object.fromEntries(VIEWED.map((name) => [name, view[name] ?? null]))
  const isSame = canonicalJson(shown) === canonicalJson(made)
  if ((isWhole || trusted) && isSame && unseenIn(revision, textOf(view, 'diff')).length === 0) return
  throw new KiwiError('ITEM_CHANGED', `${item.file} was not changed: what would come of it is not what was shown.`, {
    facts: { item_type: item.type, item_id: item.id },
    suggestion: 'Look at the file as it is now, deny this, and let the change be proposed anew.',
  })
}

/** Of `ChangeView`, where they are not absent. */
const VIEWED = ['diff', 'permissions', 'cost', 'model', 'hooks', 'requires', 'approval', 'executor_id'] as const

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
