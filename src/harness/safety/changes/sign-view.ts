import type { JsonObject } from '../../../json.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { ItemType } from '../../../kernel/items/item.ts'
import { canonicalJson } from '../limits/loops.ts'
import type { HarnessServices } from '../services.ts'
import { changeView } from './change-view.ts'
import { unseenIn } from './unseen.ts'

interface SignedFile {
  readonly type: ItemType
  readonly id: string
  /** As `sign` names it. */
  readonly file: string
}

/**
 * What a person reads before a file is signed as it is: all of it, and what it may do, unless the same content is signed already.
 *
 * @throws {KiwiError} INVALID_REQUEST where a reader would not see all that is to be signed.
 */
export async function signView(services: HarnessServices, { type, id, file }: SignedFile): Promise<JsonObject> {
  const { before } = await services.kernel.revise(type, id, '')
  const revision = await services.kernel.revise(type, id, before.text)
  const view = await changeView(services, revision, { isWhole: !before.trusted })
  const unseen = before.item.file === file ? unseenIn(revision, view.diff) : [`${before.item.file} is used in its place`]
  if (unseen.length === 0) return { base_trusted: before.trusted, ...services.redactor().json<JsonObject>({ ...view }) }
  throw new KiwiError('INVALID_REQUEST', `Nobody can be asked to sign ${file}: ${unseen.join('; ')}.`, {
    suggestion: `A person who has read the file can sign it with "kiwi sign ${type} ${id}".`,
  })
}

/** A registry can come with the project of somebody else: what it says of a file is believed only where it comes out the same here. */
export async function assertSignShown(services: HarnessServices, subject: JsonObject, signed: SignedFile): Promise<void> {
  const view = await signView(services, signed)
  const names = Object.keys(view)
  const pick = (from: JsonObject): string => canonicalJson(Object.fromEntries(names.map((name) => [name, from[name] ?? null])))
  if (pick(view) === pick(subject)) return
  throw new KiwiError('ITEM_CHANGED', `${signed.file} was not signed: it is not what was shown.`, {
    facts: { item_type: signed.type, item_id: signed.id },
    suggestion: 'Look at the file as it is now, deny this, and let it be asked for anew.',
  })
}
