import type { Json, JsonObject } from '../../../json.ts'
import { asObject, jsonProblem, parseJson } from './untrusted-json.ts'

/** The arguments of one closed call. `text` is what may be replayed: the text as it came, or `{}` where that is no object. */
export interface ClosedArguments {
  readonly value: JsonObject
  readonly text: string
  readonly invalid: string | null
}

const SUSPECT_KEY = /__proto__|\\u005f/i

/**
 * Parses the whole text of a call's arguments, once, after the call was closed.
 * Empty text is `{}`. Anything that is not a JSON object is `invalid` and is never repaired.
 */
export function closeArguments(text: string): ClosedArguments {
  if (text.trim() === '') return { value: {}, text: '{}', invalid: null }
  const parsed = parseJson(text)
  const object = asObject(parsed)
  if (object === null) {
    const problem =
      parsed === undefined ? `are not valid JSON: ${jsonProblem(text)}` : `must be a JSON object, got ${describe(parsed)}`
    return { value: {}, text: '{}', invalid: `The arguments ${problem}. Send the call again with one complete JSON object.` }
  }
  if (SUSPECT_KEY.test(text) && hasPrototypeKey(object)) {
    return {
      value: {},
      text: '{}',
      invalid: 'The arguments hold the key "__proto__", which is never accepted. Send the call again without it.',
    }
  }
  return { value: object, text, invalid: null }
}

function describe(value: Json): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`
}

function hasPrototypeKey(root: Json): boolean {
  // A stack instead of recursion: arguments may be nested deeper than the call stack.
  const open: Json[] = [root]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue
    if (Object.hasOwn(value, '__proto__')) return true
    for (const child of Object.values(value)) open.push(child)
  }
  return false
}

/**
 * Tells, over text that arrives in fragments, whether a JSON object has closed. Each character is looked at once, and only when
 * the newest fragment could have closed it.
 */
export interface ObjectScan {
  add(fragment: string): void
  /** True when one whole object has been seen. Text that does not begin with `{` never closes. */
  isClosed(): boolean
}

/** An `ObjectScan` over no text. */
export function createObjectScan(): ObjectScan {
  const state = { depth: 0, inString: false, escaped: false, begun: false, closed: false, broken: false }
  let waiting: string[] = []
  return {
    add: (fragment) => {
      // Blank fragments change nothing, and would hide the closing one.
      if (fragment.trim() !== '') waiting.push(fragment)
    },
    isClosed: () => {
      if (state.closed || state.broken || waiting.length === 0) return state.closed
      if (!waiting[waiting.length - 1]?.trimEnd().endsWith('}')) return false
      for (const fragment of waiting) scanFragment(state, fragment)
      waiting = []
      return state.closed
    },
  }
}

interface ScanState {
  depth: number
  inString: boolean
  escaped: boolean
  begun: boolean
  closed: boolean
  broken: boolean
}

function scanFragment(state: ScanState, fragment: string): void {
  for (let at = 0; at < fragment.length && !state.broken; at += 1) {
    const character = fragment[at]
    if (state.inString) {
      if (state.escaped) state.escaped = false
      else if (character === '\\') state.escaped = true
      else if (character === '"') state.inString = false
    } else if (!state.begun) {
      if (character === '{') Object.assign(state, { begun: true, depth: 1 })
      else if (character?.trim() !== '') state.broken = true
    } else if (character === '{' || character === '[') {
      state.depth += 1
    } else if (character === '}' || character === ']') {
      state.depth -= 1
      if (state.depth === 0) state.closed = true
    } else if (character === '"') {
      state.inString = true
    }
  }
}
