import type { KeyTrust, SigningKeys } from '../contract.ts'
import { type ErrorCode, KiwiError } from '../errors.ts'
import type { ItemStore, VerifiedItem } from '../items/item-store.ts'
import { nearestName } from '../items/nearest-name.ts'
import type { Definition, Item, ItemProblem, ItemType } from '../items/item.ts'

/** Finds items that may run: available, and shipped or signed by a trusted key. What it gives are the bytes that were checked. */
export interface TrustedItems {
  /**
   * @throws {KiwiError} ITEM_NOT_FOUND, ITEM_UNAVAILABLE, and for its signature ITEM_UNSIGNED, ITEM_CHANGED, ITEM_SIGNATURE_MALFORMED,
   *   ITEM_SIGNATURE_MISSING, ITEM_SIGNATURE_INVALID, ITEM_KEY_UNTRUSTED or ITEM_KEY_PURPOSE.
   */
  require(type: ItemType, id: string): Promise<VerifiedItem>
}

/** An id before any path is made of it. */
const ITEM_ID = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const MAX_PROBLEMS = 10

/**
 * Reads, hashes and verifies a file once for as long as the store answers with the same definition, which it does while the file's bytes are
 * the same, and the files that it imports are too. Whether its key is trusted is asked each time.
 */
export function createTrustedItems(store: ItemStore, keys: Pick<SigningKeys, 'trust'>): TrustedItems {
  const verified = new WeakMap<Definition, VerifiedItem>()
  return {
    async require(type, id) {
      const item = await findItem(store, type, id)
      const definition = assertAvailable(item)
      const known = verified.get(definition)
      if (known !== undefined && known.item.path === item.path && store.hasSameImports(known)) {
        assertSigned(known, keys)
        return known
      }
      const found = await store.readVerified(item)
      assertSigned(found, keys)
      // The file may have changed since it was found: what was read now is what counts, but only equal bytes are kept.
      if (assertAvailable(found.item) === definition) verified.set(definition, found)
      return found
    },
  }
}

/** What the user lets the key of a signed item vouch for. */
export function trustIn(keys: Pick<SigningKeys, 'trust'>, { type, id, state }: Item, keyId: string): KeyTrust {
  const definition = state.kind === 'available' ? state.definition : null
  return keys.trust(keyId, { type, id, toolType: definition?.kind === 'tool' ? definition.toolType : null })
}

/** @throws {KiwiError} ITEM_NOT_FOUND; INVALID_REQUEST for an id that cannot be one. */
export async function findItem(
  store: ItemStore,
  type: ItemType,
  id: string,
  source: 'project' | 'user' | 'system' | 'all' = 'all',
): Promise<Item> {
  if (!ITEM_ID.test(id)) {
    throw new KiwiError(
      'INVALID_REQUEST',
      `Expected an item id of letters, digits, "_", "-" and ".", got ${JSON.stringify(id.slice(0, 80))}.`,
    )
  }
  const item = await store.find(type, id, source)
  if (item !== null) return item
  const where = source === 'all' ? '' : ` in the ${source} space`
  const near = nearestName(
    id,
    (await store.entries(type, source)).map((entry) => entry.id),
  )
  throw new KiwiError('ITEM_NOT_FOUND', `There is no ${type} named "${id}"${where}.`, {
    suggestion: near === null ? `Use search with item_type "${type}" to see what there is.` : `Did you mean "${near}"?`,
    facts: { item_type: type, item_id: id },
  })
}

/** The lines of problems that every door shows in the same words. */
export function describeProblems(problems: readonly ItemProblem[]): readonly string[] {
  return problems
    .slice(0, MAX_PROBLEMS)
    .map(({ file, line, column, reason, fix }) => `${file}:${line}:${column}: ${reason}. ${fix}`.trim())
}

function assertAvailable({ type, id, state }: Item): Definition {
  if (state.kind === 'available') return state.definition
  const problems = describeProblems(state.problems)
  throw new KiwiError('ITEM_UNAVAILABLE', `The ${type} "${id}" cannot be used: ${problems[0] ?? 'its file is not valid.'}`, {
    suggestion: 'Correct the file, then sign it.',
    facts: { item_type: type, item_id: id, problems },
  })
}

function assertSigned({ item, integrity }: VerifiedItem, keys: Pick<SigningKeys, 'trust'>): void {
  assertAvailable(item)
  if (integrity.kind === 'shipped') return
  const trust = integrity.kind === 'signed' ? trustIn(keys, item, integrity.keyId) : null
  if (trust === 'trusted') return
  const { type, id, file } = item
  const { code, reason, remedy } =
    integrity.kind === 'signed' ? keyRefusal(integrity.keyId, trust === 'other_purpose') : signatureRefusal(integrity)
  const signLine = `run: kiwi sign ${type} ${id}`
  throw new KiwiError(code, `The ${type} "${id}" ${reason}, so it does not run.`, {
    suggestion: `Read ${file}, and if you trust it, ${remedy === null ? signLine : `${remedy}, or ${signLine}`}`,
    facts: { item_type: type, item_id: id, file, ...('keyId' in integrity ? { key_id: integrity.keyId } : {}) },
  })
}

interface Refusal {
  readonly code: ErrorCode
  readonly reason: string
  /** Another way than signing it oneself. */
  readonly remedy: string | null
}

function signatureRefusal(integrity: Exclude<VerifiedItem['integrity'], { readonly kind: 'shipped' | 'signed' }>): Refusal {
  switch (integrity.kind) {
    case 'unsigned':
      return { code: 'ITEM_UNSIGNED', reason: 'is not signed', remedy: null }
    case 'changed':
      return { code: 'ITEM_CHANGED', reason: 'was changed after it was signed (it, or a file that it imports)', remedy: null }
    case 'malformed': {
      const reason = `has a bad signature line (line ${integrity.line}: ${integrity.reason})`
      return { code: 'ITEM_SIGNATURE_MALFORMED', reason, remedy: null }
    }
    case 'keyless':
      return { code: 'ITEM_SIGNATURE_MISSING', reason: 'was hashed but not signed by a key', remedy: null }
    case 'forged': {
      const reason = `was not signed by the key that its signature names (${integrity.keyId}), or was signed as another item`
      return { code: 'ITEM_SIGNATURE_INVALID', reason, remedy: null }
    }
  }
}

function keyRefusal(keyId: string, isOtherPurpose: boolean): Refusal {
  if (isOtherPurpose) {
    const reason = `is signed by the key ${keyId}, which you trust for something else`
    return { code: 'ITEM_KEY_PURPOSE', reason, remedy: null }
  }
  const reason = `is signed by the key ${keyId}, which you do not trust`
  return { code: 'ITEM_KEY_UNTRUSTED', reason, remedy: `trust all that its holder signs: kiwi trust add ${keyId}` }
}
