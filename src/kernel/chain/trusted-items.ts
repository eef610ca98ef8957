import { KiwiError, type ErrorContext } from '../errors.ts'
import type { ItemStore, VerifiedItem } from '../items/item-store.ts'
import { nearestName } from '../items/nearest-name.ts'
import type { Definition, Item, ItemProblem, ItemType } from '../items/item.ts'

/** Finds items that may run: available, and signed or shipped. What it gives are the bytes that were checked. */
export interface TrustedItems {
  /** @throws {KiwiError} ITEM_NOT_FOUND, ITEM_UNAVAILABLE, ITEM_UNSIGNED or ITEM_CHANGED. */
  require(type: ItemType, id: string): Promise<VerifiedItem>
}

/** An id before any path is made of it. */
const ITEM_ID = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const MAX_PROBLEMS = 10

/**
 * Reads and hashes a file once for as long as the store answers with the same definition, which it does while the file's bytes are the same.
 */
export function createTrustedItems(store: ItemStore): TrustedItems {
  const verified = new WeakMap<Definition, VerifiedItem>()
  return {
    async require(type, id) {
      const item = await findItem(store, type, id)
      const definition = assertAvailable(item)
      const known = verified.get(definition)
      if (known !== undefined && known.item.path === item.path) return known
      const found = await store.readVerified(item)
      // The file may have changed since it was found: what was read now is what counts, but only equal bytes are kept.
      if (assertSigned(found) === definition) verified.set(definition, found)
      return found
    },
  }
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

function assertSigned({ item, integrity }: VerifiedItem): Definition {
  const definition = assertAvailable(item)
  if (integrity.kind === 'shipped' || integrity.kind === 'signed') return definition
  const context: ErrorContext = {
    suggestion: `Read ${item.file}, and if you trust it, run: kiwi sign ${item.type} ${item.id}`,
    facts: { item_type: item.type, item_id: item.id, file: item.file },
  }
  if (integrity.kind === 'unsigned') {
    throw new KiwiError('ITEM_UNSIGNED', `The ${item.type} "${item.id}" is not signed, so it does not run.`, context)
  }
  const reason =
    integrity.kind === 'changed'
      ? 'was changed after it was signed'
      : `has a bad signature line (line ${integrity.line}: ${integrity.reason})`
  throw new KiwiError('ITEM_CHANGED', `The ${item.type} "${item.id}" ${reason}, so it does not run.`, context)
}
