import { setImmediate as nextTurn } from 'node:timers/promises'
import type { TrustedItems } from './chain/trusted-items.ts'
import { KiwiError } from './errors.ts'
import type { ItemEntry, ItemStore } from './items/item-store.ts'
import type { CapabilityDeclaration, Item, ToolDefinition } from './items/item.ts'

/** A trusted capability module and what it declares. */
export interface CapabilityModule {
  readonly item: Item
  readonly declaration: CapabilityDeclaration
}

export interface CapabilityModulesOptions {
  readonly store: ItemStore
  readonly items: TrustedItems
  /** How long an answer may be used without a look at the spaces. */
  readonly trustMs: number
}

/** Shipped modules lie in this category, so that not every shipped tool is read to find them. */
const SHIPPED_CATEGORY = /^capabilities(?:\/|$)/
/** Files read between two turns of the event loop. */
const READ_A_TURN = 20

/**
 * The capability modules that count: shipped ones, and trusted ones of the project and the user that declare nothing that a shipped one
 * declares. The same list, by identity, for as long as the modules are the same.
 */
export function createCapabilityModules(options: CapabilityModulesOptions): () => Promise<readonly CapabilityModule[]> {
  const { store, trustMs } = options
  let known: { readonly revision: number; readonly modules: readonly CapabilityModule[] } | null = null
  let lookedAtMs = Number.NEGATIVE_INFINITY
  return async () => {
    if (known !== null && performance.now() - lookedAtMs < trustMs) return known.modules
    const revision = await store.revision()
    if (known?.revision !== revision) {
      const modules = await readModules(options)
      known = { revision, modules: known !== null && areSame(known.modules, modules) ? known.modules : modules }
    }
    lookedAtMs = performance.now()
    return known.modules
  }
}

/** A declaration is one object for as long as its file has the same bytes. */
function areSame(left: readonly CapabilityModule[], right: readonly CapabilityModule[]): boolean {
  return left.length === right.length && left.every(({ declaration }, index) => declaration === right[index]?.declaration)
}

async function readModules({ store, items }: CapabilityModulesOptions): Promise<readonly CapabilityModule[]> {
  const entries = (await store.entries('tool')).filter(
    ({ space, category, path }) => /\.[tj]s$/.test(path) && (space !== 'system' || SHIPPED_CATEGORY.test(category)),
  )
  const shipped: CapabilityModule[] = []
  const added: CapabilityModule[] = []
  for (const [index, entry] of entries.entries()) {
    if (index % READ_A_TURN === READ_A_TURN - 1) await nextTurn()
    const module = await trustedModule(store, items, entry)
    if (module !== null) (entry.space === 'system' ? shipped : added).push(module)
  }
  const taken = new Set(shipped.flatMap(({ declaration }) => declaration.capabilities))
  return [...shipped, ...added.filter(({ declaration }) => !declaration.capabilities.some((id) => taken.has(id)))]
}

/** Null for a file that is no capability module, that is shadowed, or that may not run. */
async function trustedModule(store: ItemStore, items: TrustedItems, entry: ItemEntry): Promise<CapabilityModule | null> {
  const found = await store.load(entry)
  if (definitionOf(found)?.capability === undefined) return null
  try {
    // The bytes that were verified decide, not those that were found.
    const { item } = await items.require('tool', entry.id)
    const declaration = definitionOf(item)?.capability
    return item.path === entry.path && declaration !== undefined ? { item, declaration } : null
  } catch (error) {
    // An unsigned or changed file adds nothing, and keeps nobody else's from counting.
    if (error instanceof KiwiError) return null
    throw error
  }
}

function definitionOf({ state }: Item): ToolDefinition | null {
  return state.kind === 'available' && state.definition.kind === 'tool' ? state.definition : null
}
