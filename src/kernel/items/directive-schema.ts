import type { Json, JsonObject } from '../../json.ts'
import { schemaFault } from '../chain/schema-validation.ts'
import { inText, rawText } from './directive-reader.ts'
import type { DirectiveReader } from './directive-reader.ts'
import type { XmlTag } from './directive-xml.ts'
import { describe, isJsonObject } from './field-reader.ts'
import { FORBIDDEN_KEYS } from './names.ts'

const MAX_CHARACTERS = 65_536
const MAX_DEPTH = 32
/** Compiling makes code for each of them, about 0.1 ms long. */
const MAX_VALUES = 1_000

/** The JSON Schema that is the text of a tag; null, with a problem, where it is not valid JSON or cannot be compiled. */
export function readSchema(tag: XmlTag, reader: DirectiveReader): JsonObject | null {
  reader.onlyChildren(tag, [])
  const text = rawText(tag)
  const start = inText(tag, text.length - text.trimStart().length)
  if (text.length > MAX_CHARACTERS) {
    reader.problem(start, `a schema of ${text.length} characters, the limit is ${MAX_CHARACTERS}`, 'Shorten it.')
    return null
  }
  let value: Json
  try {
    // JSON.parse gives nothing but JSON.
    value = JSON.parse(text) as Json
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const offset = /at position (\d+)/.exec(message)?.[1]
    const reason = `the schema is not valid JSON: ${message}`
    reader.problem(offset === undefined ? start : inText(tag, Number(offset)), reason, JSON_FIX)
    return null
  }
  if (!isJsonObject(value)) {
    reader.problem(start, `a schema must be a JSON object, got ${describe(value)}`, 'Write `{"type": "object", …}`.')
    return null
  }
  const fault = shapeFault(value, 0, { values: 0 }) ?? schemaFault(value)
  if (fault === null) return value
  reader.problem(start, `the JSON Schema cannot be used: ${fault}`, 'Correct the schema; JSON Schema 2020-12 is read.')
  return null
}

const JSON_FIX = 'Correct the JSON; in XML, write `&lt;` and `&amp;` for `<` and `&`, or put it into `<![CDATA[…]]>`.'

/** What must not reach the compiler, which recurses and copies. */
function shapeFault(value: Json, depth: number, count: { values: number }): string | null {
  count.values += 1
  if (count.values > MAX_VALUES) return `it has more than ${MAX_VALUES} values`
  if (typeof value === 'number' && !Number.isFinite(value)) return 'it holds a number that is too large'
  if (typeof value !== 'object' || value === null) return null
  if (depth === MAX_DEPTH) return `it is nested deeper than ${MAX_DEPTH} levels`
  for (const [key, entry] of Object.entries<Json>(value)) {
    if (FORBIDDEN_KEYS.has(key)) return `the name \`${key}\` is not allowed`
    const fault = shapeFault(entry, depth + 1, count)
    if (fault !== null) return fault
  }
  return null
}
