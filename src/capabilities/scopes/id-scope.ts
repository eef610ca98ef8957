/** Scopes of ids (tools, MCP servers): `name`, or `na*` for every id that begins so, `*` for all. Compared exactly, case included. */
import { refuseScope, remembering } from './scope-outcome.ts'
import type { ScopeOutcome } from './scope-outcome.ts'

export interface IdScope {
  /** Canonical: equal for equal scopes. */
  readonly text: string
  readonly kind: 'exact' | 'prefix'
  /** The id, or what ids begin with; empty only for `*`. */
  readonly name: string
}

const FIX = 'Write an id, or the beginning of ids followed by one `*`; ids have letters, digits, `_`, `.` and `-`.'
const MAX_ID_LENGTH = 128
const ID = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/
const NO_ID_CHARACTER = /^[^A-Za-z0-9_]|[^A-Za-z0-9_.-]/

/** Reads one id scope. Remembered by text. */
export const parseIdScope: (text: string) => ScopeOutcome<IdScope> = remembering(readIdScope)

function readIdScope(text: string): ScopeOutcome<IdScope> {
  if (text === '') return refuseScope(0, 'an id scope is empty', FIX)
  const kind = text.endsWith('*') ? 'prefix' : 'exact'
  const name = kind === 'prefix' ? text.slice(0, -1) : text
  if (name.length > MAX_ID_LENGTH) return refuseScope(MAX_ID_LENGTH, `an id scope of more than ${MAX_ID_LENGTH} characters`, FIX)
  const odd = NO_ID_CHARACTER.exec(name)
  if (odd !== null) {
    const reason = odd[0] === '*' ? '`*` before the end of an id scope' : `${JSON.stringify(odd[0])} in an id scope`
    return refuseScope(odd.index, reason, FIX)
  }
  return { kind: 'scope', scope: { text, kind, name } }
}

/** Whether the id is one of the scope. A text that is no id is in none. */
export function idScopeContains(scope: IdScope, id: string): boolean {
  if (id.length > MAX_ID_LENGTH || !ID.test(id)) return false
  return scope.kind === 'exact' ? id === scope.name : id.startsWith(scope.name)
}

/** Whether every id of `inner` is one of `outer`. */
export function idScopeCovers(outer: IdScope, inner: IdScope): boolean {
  return outer.kind === 'exact' ? inner.kind === 'exact' && inner.name === outer.name : inner.name.startsWith(outer.name)
}

/** The scope of the ids that both contain; null when there are none. One of the two is always within the other, or they are apart. */
export function meetIdScopes(left: IdScope, right: IdScope): IdScope | null {
  if (idScopeCovers(left, right)) return right
  return idScopeCovers(right, left) ? left : null
}
