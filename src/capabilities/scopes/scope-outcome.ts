/** Why a text is no scope. `offset` counts UTF-16 units from 0 and points at what is wrong. */
export interface ScopeRefusal {
  readonly kind: 'refused'
  readonly offset: number
  readonly reason: string
  /** What to write instead. */
  readonly fix: string
}

export type ScopeOutcome<Scope> = { readonly kind: 'scope'; readonly scope: Scope } | ScopeRefusal

export function refuseScope(offset: number, reason: string, fix: string): ScopeRefusal {
  return { kind: 'refused', offset, reason, fix }
}

/** Longest text of a scope, in UTF-16 units. */
export const MAX_SCOPE_LENGTH = 4096

const MAX_REMEMBERED = 4096

/**
 * The same pure function, remembering the newest few thousand answers. Scopes come from tokens and files, so the same texts are asked
 * for at every check; the bound keeps texts that a model makes up from filling the memory.
 */
export function remembering<Answer>(parse: (text: string) => Answer): (text: string) => Answer {
  const answers = new Map<string, Answer>()
  return (text) => {
    const known = answers.get(text)
    if (known !== undefined) return known
    const answer = parse(text)
    if (answers.size >= MAX_REMEMBERED) {
      const oldest = answers.keys().next()
      if (oldest.done !== true) answers.delete(oldest.value)
    }
    if (text.length <= MAX_SCOPE_LENGTH) answers.set(text, answer)
    return answer
  }
}
