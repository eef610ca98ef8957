import { hash as digest } from 'node:crypto'
import type { Json, JsonObject } from '../../../json.ts'

/** One finished call as loop detection remembers it: who was asked what, and what came back. */
export interface CallTrace {
  /** Hash of the inner item id and the normalised arguments. */
  readonly call: string
  readonly result: string
}

export type LoopPattern = 'same_call' | 'alternating'

const REMEMBERED = 5
const SAME_CALL_TIMES = 3

/**
 * Adds a finished call to the last five and says whether they form a loop: the same call with the same result three times among
 * them, or A-B-A-B at their end. After a loop the caller starts again from an empty list, so that a resumed thread has a fresh chance.
 */
export function recordCall(
  recent: readonly CallTrace[],
  trace: CallTrace,
): { readonly recent: readonly CallTrace[]; readonly loop: LoopPattern | null } {
  const kept = [...recent, trace].slice(-REMEMBERED)
  return { recent: kept, loop: loopIn(kept) }
}

/** The trace of one call. `item` is the inner item id of an `execute`, so that two tools behind one meta-tool never look alike. */
export function traceOf(item: string, parameters: JsonObject, result: string): CallTrace {
  return { call: hash(`${item}\n${canonicalJson(parameters)}`), result: hash(result) }
}

/** JSON with sorted keys: equal values give equal text. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${entries.map(([key, entry]) => `${JSON.stringify(key)}:${canonicalJson(entry)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

/** SHA-256 of a text, shortened to 32 hex digits: enough to tell calls apart, small enough for every event. */
export function hash(text: string): string {
  return digest('sha256', text).slice(0, 32)
}

function loopIn(calls: readonly CallTrace[]): LoopPattern | null {
  const last = calls.at(-1)
  if (last === undefined) return null
  if (calls.filter((call) => same(call, last)).length >= SAME_CALL_TIMES) return 'same_call'
  const [a, b, c, d] = calls.slice(-4)
  if (a === undefined || b === undefined || c === undefined || d === undefined) return null
  return same(a, c) && same(b, d) && !same(a, b) ? 'alternating' : null
}

function same(a: CallTrace, b: CallTrace): boolean {
  return a.call === b.call && a.result === b.result
}
