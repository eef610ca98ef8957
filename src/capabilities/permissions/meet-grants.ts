import type { Capabilities, CategoryRule, Grants, Vocabulary } from '../contract.ts'
import { containsValue, coversAll, meetSets } from '../scopes/scope-sets.ts'
import { sameRule } from './category-rules.ts'

/** Permits nothing. Its rules limit nothing, which matters only to what else it would permit. */
export const NO_GRANTS: Grants = { capabilities: {}, orchestration: null, knowledge: [], directives: [] }

/**
 * What a child gets: what it declares, as far as its parent has it. Capabilities that no module declares, or that lost their last scope,
 * are left out. Rules are the parent's, then the child's own.
 */
export function meetGrants(parent: Grants, declared: Grants, vocabulary: Vocabulary): Grants {
  return {
    capabilities: meetCapabilities(parent.capabilities, declared.capabilities, vocabulary),
    orchestration:
      parent.orchestration === null || declared.orchestration === null
        ? null
        : joinRules(parent.orchestration, declared.orchestration),
    knowledge: joinRules(parent.knowledge, declared.knowledge),
    directives: joinRules(parent.directives, declared.directives),
  }
}

function meetCapabilities(parent: Capabilities, declared: Capabilities, vocabulary: Vocabulary): Capabilities {
  const met: [string, readonly string[] | true][] = []
  for (const [id, wanted] of Object.entries(declared)) {
    const info = vocabulary.get(id)
    const held = Object.hasOwn(parent, id) ? parent[id] : undefined
    if (info === undefined || held === undefined) continue
    if (info.scope === null) {
      if (held === true && wanted === true) met.push([id, true])
    } else if (held !== true && wanted !== true) {
      const scopes = meetSets(held, wanted, info.scope)
      if (scopes.length > 0) met.push([id, scopes])
    }
  }
  return Object.fromEntries(met.toSorted(([left], [right]) => (left < right ? -1 : 1)))
}

/** A rule that the parent has already is not written again, so that a long line of descendants does not grow its token. */
function joinRules(parent: readonly CategoryRule[], own: readonly CategoryRule[]): readonly CategoryRule[] {
  return [...parent, ...own.filter((rule) => parent.every((known) => !sameRule(known, rule)))]
}

/** Whether `child` permits nothing that `parent` does not. Exact for capabilities; rules must begin with the parent's, word for word. */
export function coversGrants(parent: Grants, child: Grants, vocabulary: Vocabulary): boolean {
  const within = Object.entries(child.capabilities).every(([id, scopes]) => {
    if (scopes === true) return capabilityCovers(parent.capabilities, { id, scope: null }, vocabulary)
    return scopes.every((scope) => capabilityCovers(parent.capabilities, { id, scope }, vocabulary))
  })
  return (
    within &&
    (child.orchestration === null || (parent.orchestration !== null && beginsWith(child.orchestration, parent.orchestration))) &&
    beginsWith(child.knowledge, parent.knowledge) &&
    beginsWith(child.directives, parent.directives)
  )
}

function beginsWith(rules: readonly CategoryRule[], beginning: readonly CategoryRule[]): boolean {
  return beginning.every((rule, index) => {
    const other = rules[index]
    return other !== undefined && sameRule(rule, other)
  })
}

/**
 * Whether the capability is held for everything in `scope`, a text of its scope language; null asks for a capability that has no scope.
 * False for a capability that no module declares, and for a scope of the wrong form.
 */
export function capabilityCovers(
  held: Capabilities,
  wanted: { readonly id: string; readonly scope: string | null },
  vocabulary: Vocabulary,
): boolean {
  const scopes = scopesHeld(held, wanted.id)
  const language = vocabulary.get(wanted.id)?.scope
  if (language === undefined || scopes === undefined) return false
  if (language === null) return scopes === true && wanted.scope === null
  return scopes !== true && wanted.scope !== null && coversAll(scopes, [wanted.scope], language)
}

/** Whether the capability is held for an actual value: a path, an id, or `host:port`. It is never read as a pattern. */
export function capabilityContains(
  held: Capabilities,
  wanted: { readonly id: string; readonly value: string },
  vocabulary: Vocabulary,
): boolean {
  const scopes = scopesHeld(held, wanted.id)
  const language = vocabulary.get(wanted.id)?.scope ?? null
  return language !== null && scopes !== undefined && scopes !== true && containsValue(scopes, wanted.value, language)
}

function scopesHeld(held: Capabilities, id: string): readonly string[] | true | undefined {
  return Object.hasOwn(held, id) ? held[id] : undefined
}
