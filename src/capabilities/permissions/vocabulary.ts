import type { CapabilityDeclaration, Item } from '../../kernel/items/item.ts'
import type { CapabilityInfo, Vocabulary } from '../contract.ts'

/** Ids below these names are made by the system itself; a module of another space cannot take one. */
const RESERVED = /^(?:mcp|kiwi-mcp|thread)\./
const MCP_CONNECT = 'mcp.connect'

/** The capabilities of the modules that `kernel.capabilities()` found. An id belongs to the first module that has it, shipped ones first. */
export function vocabularyOf(
  modules: readonly { readonly item: Item; readonly declaration: CapabilityDeclaration }[],
): Vocabulary {
  const infos = new Map<string, CapabilityInfo>()
  for (const { item, declaration } of modules.toSorted((left, right) => rank(left.item) - rank(right.item))) {
    const own = declaration.capabilities.filter((id) => !infos.has(id) && (item.space === 'system' || !RESERVED.test(id)))
    for (const id of own) infos.set(id, capabilityInfo(id, own, declaration))
  }
  const list = [...infos.values()].toSorted((left, right) => (left.id < right.id ? -1 : 1))
  return { get: (id) => infos.get(id), list: () => list }
}

function rank(item: Item): number {
  return item.space === 'system' ? 0 : 1
}

/**
 * `own`: the ids that this module gives to the vocabulary. It can imply no others, so that a new capability brings neither a shipped one
 * nor one that only shipped directives may have.
 */
function capabilityInfo(id: string, own: readonly string[], declaration: CapabilityDeclaration): CapabilityInfo {
  const isSystemOnly = (name: string): boolean =>
    typeof declaration.systemOnly === 'boolean' ? declaration.systemOnly : declaration.systemOnly.includes(name)
  const systemOnly = isSystemOnly(id)
  const implied = Object.hasOwn(declaration.implies, id) ? (declaration.implies[id] ?? []) : []
  const descriptions = declaration.descriptions ?? {}
  return {
    id,
    description: (Object.hasOwn(descriptions, id) ? descriptions[id] : undefined) ?? declaration.description,
    scope: declaration.scope,
    defaultParameter: declaration.scope === null ? null : declaration.defaultParameter,
    systemOnly,
    implies: implied.filter((name) => own.includes(name) && (systemOnly || !isSystemOnly(name))),
  }
}

/** What a capability is called where it is named: `mcp.<server>` is `mcp.connect` with that server as its scope. */
export interface NamedCapability {
  readonly info: CapabilityInfo
  /** The scope that the name itself holds; null for every other name. */
  readonly scope: string | null
}

/** The capability of a name in `requires`; null when no module declares it. */
export function namedCapability(name: string, vocabulary: Vocabulary): NamedCapability | null {
  const info = vocabulary.get(name)
  if (info !== undefined) return { info, scope: null }
  const connect = vocabulary.get(MCP_CONNECT)
  return connect !== undefined && name.startsWith('mcp.') ? { info: connect, scope: name.slice('mcp.'.length) } : null
}

/** The keys that a `scope` of a `requires` entry or the attribute of a permission may have; the first one is shown in messages. */
export function scopeKeys(info: CapabilityInfo): readonly string[] {
  switch (info.scope) {
    case 'path':
      return ['path']
    case 'host':
      return ['host']
    case 'id':
      return info.defaultParameter === null || info.defaultParameter === 'id' ? ['id'] : [info.defaultParameter, 'id']
    case null:
      return []
  }
}

/** A capability and everything that comes with it, of the same scope. */
export function impliedCapabilities(info: CapabilityInfo, vocabulary: Vocabulary): readonly CapabilityInfo[] {
  const found = new Map([[info.id, info]])
  // A map is walked in the order of insertion, with what is added on the way.
  for (const { implies } of found.values()) {
    for (const id of implies) {
      const implied = vocabulary.get(id)
      if (implied !== undefined && implied.scope === info.scope) found.set(id, implied)
    }
  }
  return [...found.values()]
}
