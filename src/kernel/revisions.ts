import { lstat } from 'node:fs/promises'
import { findItem, type TrustedItems } from './chain/trusted-items.ts'
import type { Kernel, RevisedItem, SigningKeys } from './contract.ts'
import { KiwiError } from './errors.ts'
import { hashToSign, signBytes, signedKindOf, unsignedBytes } from './integrity/signature.ts'
import type { SignedKind, SignedSubject } from './integrity/signature.ts'
import type { ItemStore, VerifiedItem } from './items/item-store.ts'
import type { Item, ItemType } from './items/item.ts'
import { invalidRequest } from './meta-tools/request.ts'
import { assertSignable, replaceFile } from './meta-tools/sign.ts'

export interface RevisionOptions {
  /** Gives what a review rejects as unavailable. */
  readonly store: ItemStore
  readonly items: TrustedItems
  readonly keys: SigningKeys
  /** UTC milliseconds. */
  readonly now: () => number
}

/** See `Kernel.revise` and `Kernel.replace`. */
export function createRevisions({ store, items, keys, now }: RevisionOptions): Pick<Kernel, 'revise' | 'replace'> {
  return {
    async revise(type, id, content) {
      const { item, kind } = await ownFile(store, type, id)
      const before = await store.readVerified(item)
      const after = await store.verifyBytes(item, Buffer.from(content))
      return {
        before: { ...shown(before, kind), trusted: await isTrusted(items, before) },
        after: shown(after, kind),
      }
    },
    async replace(type, id, { content, sha256, baseSha256 }) {
      const { item, kind } = await ownFile(store, type, id)
      const before = await store.readVerified(item)
      const after = await store.verifyBytes(item, Buffer.from(content))
      assertSame(item, { expected: sha256, actual: hashOf(after, kind) })
      const current = hashOf(before, kind)
      const { file } = item
      // Somebody did this before, and stopped before they could say so.
      if (current === sha256 && (await isTrusted(items, before))) return { file, sha256 }
      assertSame(item, { expected: baseSha256, actual: current })
      assertSignable(after.item, false)
      const signed = await signBytes(after.bytes, kind, { nowMs: now(), subject: subjectOf(after), keys })
      await replaceFile(item, { expected: before.bytes, bytes: signed })
      return { file, sha256 }
    },
  }
}

/** The item that a call would use, where its file is its own and may be written. */
async function ownFile(
  store: ItemStore,
  type: ItemType,
  id: string,
): Promise<{ readonly item: Item; readonly kind: SignedKind }> {
  const item = await findItem(store, type, id)
  if (item.space === 'system')
    throw invalidRequest(
      `The ${type} "${id}" is shipped with the package and cannot be changed. Where it may be replaced, copy it to the project with load and destination first`,
    )
  if ((await lstat(item.path)).isSymbolicLink())
    throw invalidRequest(`${item.file} is a link, and only an item's own file is changed. Change the file that it leads to`)
  const kind = signedKindOf(item.path)
  if (kind === null) throw invalidRequest(`A file of this kind cannot be signed: ${item.file}`)
  return { item, kind }
}

function shown(verified: VerifiedItem, kind: SignedKind): RevisedItem {
  const { item, bytes } = verified
  const imports = new Map([...verified.imports].map(([path, content]) => [path, Buffer.from(content).toString('utf8')]))
  return { item, text: unsignedBytes(bytes, kind).toString('utf8'), sha256: hashOf(verified, kind), imports }
}

function hashOf(verified: VerifiedItem, kind: SignedKind): string {
  return hashToSign(verified.bytes, kind, subjectOf(verified))
}

function subjectOf({ item: { type, category, id }, imports }: VerifiedItem): SignedSubject {
  return { type, category, id, imports }
}

/** Whether the item runs as it was read. */
async function isTrusted(items: TrustedItems, { item, bytes }: VerifiedItem): Promise<boolean> {
  try {
    return (await items.require(item.type, item.id)).bytes.equals(bytes)
  } catch (error) {
    if (error instanceof KiwiError) return false
    throw error
  }
}

function assertSame(
  { type, id, file }: Item,
  { expected, actual }: { readonly expected: string; readonly actual: string },
): void {
  if (expected === actual) return
  throw new KiwiError(
    'ITEM_CHANGED',
    `${file} was not changed: it, or what it imports, is no longer what the change was made for.`,
    {
      facts: { item_type: type, item_id: id, expected, actual },
      suggestion: 'Look at the file as it is now, and let the change be proposed anew.',
    },
  )
}
