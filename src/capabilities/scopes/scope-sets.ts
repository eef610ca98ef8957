/**
 * Lists of scope texts, as directives, tokens and the gate hold them. An empty list contains nothing. A text that is no scope contains
 * nothing either, and is covered by nothing.
 */
import type { ScopeKind } from '../contract.ts'
import { eachPort, hostScopeCovers, joinPorts, meetHostScopes, parseHostScope } from './host-scope.ts'
import type { HostScope } from './host-scope.ts'
import { idScopeContains, idScopeCovers, meetIdScopes, parseIdScope } from './id-scope.ts'
import { meetPathScopes, parsePathScope, pathMembership, pathScopeCovers } from './path-scope.ts'
import type { ScopeOutcome } from './scope-outcome.ts'

/** The scope languages. */
export type ScopeLanguage = Exclude<ScopeKind, null>

/** Reads one scope; `scope` is its canonical text. */
export function parseScope(text: string, language: ScopeLanguage): ScopeOutcome<string> {
  const outcome = algebra(language).parse(text)
  return outcome.kind === 'scope' ? { kind: 'scope', scope: outcome.scope.text } : outcome
}

/**
 * Whether an actual value lies in one of the scopes. Values: a path as a caller gave it, an id, or `host:port` (IPv6 in brackets).
 */
export function containsValue(scopes: readonly string[], value: string, language: ScopeLanguage): boolean {
  return algebra(language).containsValue(scopes, value)
}

/** Whether everything that `inner` contains is contained in `outer`. Nothing is needed for an empty `inner`. */
export function coversAll(outer: readonly string[], inner: readonly string[], language: ScopeLanguage): boolean {
  return algebra(language).coversAll(outer, inner)
}

/** Canonical scopes of what both lists contain, none of them within another, sorted. */
export function meetSets(left: readonly string[], right: readonly string[], language: ScopeLanguage): readonly string[] {
  return algebra(language).meetSets(left, right)
}

/** The same list in canonical form: parsed, without what another member contains, sorted. */
export function canonicalSet(scopes: readonly string[], language: ScopeLanguage): readonly string[] {
  return algebra(language).canonical(scopes)
}

interface Language<Scope extends { readonly text: string }> {
  readonly parse: (text: string) => ScopeOutcome<Scope>
  /** Reads an actual value once, for the comparison with many scopes. */
  readonly membership: (value: string) => (scope: Scope) => boolean
  readonly covers: (outer: Scope, inner: Scope) => boolean
  readonly meet: (left: Scope, right: Scope) => Scope | null
  /** Parts for which a list covers a part only if one member does. */
  readonly split: (scope: Scope) => readonly Scope[]
  /** The shortest way to write parts of which none contains another. */
  readonly join: (parts: readonly Scope[]) => readonly Scope[]
}

interface Algebra {
  readonly parse: (text: string) => ScopeOutcome<{ readonly text: string }>
  containsValue(scopes: readonly string[], value: string): boolean
  coversAll(outer: readonly string[], inner: readonly string[]): boolean
  meetSets(left: readonly string[], right: readonly string[]): readonly string[]
  canonical(scopes: readonly string[]): readonly string[]
}

function createAlgebra<Scope extends { readonly text: string }>(language: Language<Scope>): Algebra {
  const { covers, meet } = language
  const parts = (texts: readonly string[]): readonly Scope[] =>
    texts.flatMap((text) => {
      const outcome = language.parse(text)
      return outcome.kind === 'scope' ? language.split(outcome.scope) : []
    })
  const canonical = (scopes: readonly Scope[]): readonly string[] =>
    [...new Set(language.join(widest(scopes, covers)).map(({ text }) => text))].toSorted()
  return {
    parse: language.parse,
    containsValue: (scopes, value) => parts(scopes).some(language.membership(value)),
    coversAll(outer, inner) {
      if (inner.some((text) => language.parse(text).kind !== 'scope')) return false
      const wide = parts(outer)
      return parts(inner).every((narrow) => wide.some((scope) => covers(scope, narrow)))
    },
    meetSets(left, right) {
      const others = parts(right)
      return canonical(parts(left).flatMap((scope) => others.flatMap((other) => meet(scope, other) ?? [])))
    },
    canonical: (scopes) => canonical(parts(scopes)),
  }
}

/** Without the scopes that another one contains; of equal ones the first stays. */
function widest<Scope>(scopes: readonly Scope[], covers: (outer: Scope, inner: Scope) => boolean): readonly Scope[] {
  return scopes.filter((scope, index) =>
    scopes.every((other, at) => at === index || !covers(other, scope) || (covers(scope, other) && index < at)),
  )
}

function alone<Scope>(scope: Scope): readonly Scope[] {
  return [scope]
}

function asTheyAre<Scope>(scopes: readonly Scope[]): readonly Scope[] {
  return scopes
}

const PATHS = createAlgebra({
  parse: parsePathScope,
  membership: pathMembership,
  covers: pathScopeCovers,
  meet: meetPathScopes,
  split: alone,
  join: asTheyAre,
})

const IDS = createAlgebra({
  parse: parseIdScope,
  membership: (id) => (scope) => idScopeContains(scope, id),
  covers: idScopeCovers,
  meet: meetIdScopes,
  split: alone,
  join: asTheyAre,
})

const HOSTS = createAlgebra<HostScope>({
  parse: parseHostScope,
  membership: targetMembership,
  covers: hostScopeCovers,
  meet: meetHostScopes,
  split: eachPort,
  join: joinPorts,
})

function targetMembership(value: string): (scope: HostScope) => boolean {
  const outcome = parseHostScope(value)
  if (outcome.kind !== 'scope' || outcome.scope.kind !== 'exact') return () => false
  return (scope) => hostScopeCovers(scope, outcome.scope)
}

function algebra(language: ScopeLanguage): Algebra {
  switch (language) {
    case 'path':
      return PATHS
    case 'host':
      return HOSTS
    case 'id':
      return IDS
  }
}
