import type { JsonObject } from '../../../json.ts'

export type StructuredResult =
  | { readonly ok: true; readonly value: JsonObject }
  /** `problem` says what the answer lacks, for the model. */
  | { readonly ok: false; readonly problem: string }

/** A result is read by programs: what no parser of theirs could hold is none. */
const MAX_CHARACTERS = 1_000_000
const MAX_DEPTH = 100
const FENCE = /^[ \t]*```/

/**
 * The JSON object that an answer holds: the whole text, or its last block that is fenced as ```json. Nothing is repaired and nothing is
 * guessed: an answer in which more stands around the JSON must mark it.
 */
export function structuredResult(text: string): StructuredResult {
  if (text.length > MAX_CHARACTERS)
    return problem(`it is ${text.length} characters long; a JSON result may have ${MAX_CHARACTERS}`)
  const whole = text.trim()
  const source = whole.startsWith('{') && whole.endsWith('}') ? whole : lastJsonBlock(whole)
  if (source === null) return problem('it holds no JSON object: write one alone, or in a block that begins with ```json')
  if (depthOf(source) > MAX_DEPTH) return problem(`its JSON is nested deeper than ${MAX_DEPTH} levels`)
  return parsed(source)
}

function parsed(source: string): StructuredResult {
  let value: unknown
  try {
    value = JSON.parse(source)
  } catch (error) {
    return problem(`its JSON cannot be read: ${error instanceof Error ? error.message.slice(0, 300) : 'not JSON'}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return problem('its JSON is no object')
  // JSON.parse gives nothing but JSON, and this is an object of it.
  return { ok: true, value: value as JsonObject }
}

function problem(what: string): StructuredResult {
  return { ok: false, problem: `The answer cannot be the result: ${what}.` }
}

/** Line by line, so that no text makes it slow. A block that is never closed is none. */
function lastJsonBlock(text: string): string | null {
  let found: string | null = null
  let open: { readonly isJson: boolean; readonly lines: string[] } | null = null
  for (const line of text.split('\n')) {
    const isFence = FENCE.test(line)
    if (open === null) {
      if (isFence) open = { isJson: /^[ \t]*```[ \t]*json[ \t\r]*$/i.test(line), lines: [] }
    } else if (isFence && /^[ \t]*`{3,}[ \t\r]*$/.test(line)) {
      if (open.isJson) found = open.lines.join('\n')
      open = null
    } else open.lines.push(line)
  }
  return found
}

/** Brackets outside of strings, the deepest. Looked at before parsing: what reads JSON afterwards calls itself for each level. */
function depthOf(source: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let index = 0; index < source.length; index += 1) {
    const character = source[index]
    if (inString) {
      if (character === '\\') index += 1
      else if (character === '"') inString = false
    } else if (character === '"') inString = true
    else if (character === '{' || character === '[') {
      depth += 1
      deepest = Math.max(deepest, depth)
    } else if (character === '}' || character === ']') depth -= 1
  }
  return deepest
}
