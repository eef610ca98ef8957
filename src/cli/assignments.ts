import type { Json, JsonObject } from '../json.ts'
import { KiwiError } from '../kernel/errors.ts'

/**
 * `name=value` words of a command line as an object.
 *
 * `name:=JSON` is always JSON. A plain value is a string unless `typeOf` says that the name is of another JSON type; then it is read as
 * JSON, so that `limit=5` is a number where a number is declared and `version=5` stays text.
 *
 * @throws KiwiError INVALID_REQUEST for a word without `=`, a name given twice, or a value that is not of its declared type.
 */
export function parseAssignments(
  words: readonly string[],
  typeOf: (name: string) => string | readonly string[] | null = () => null,
): JsonObject {
  const result: Record<string, Json> = Object.create(null)
  for (const word of words) {
    const { name, text, isJson } = splitAssignment(word)
    if (name in result) throw usage(`\`${name}\` was given twice.`, 'Give each name once; use name:=\'["a","b"]\' for a list.')
    result[name] = isJson ? parseJson(name, text) : readTyped(name, text, typeOf(name))
  }
  return { ...result }
}

/**
 * A JSON object given as one word, such as `--params '{"limit": 5}'`.
 *
 * @throws KiwiError INVALID_REQUEST when it is not one.
 */
export function parseJsonObject(option: string, text: string): JsonObject {
  const suggestion = `Write it as ${option} '{"name": "value"}'.`
  const value = parseJson(option, text, { suggestion })
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw usage(`Expected ${option} to be a JSON object, got \`${text.slice(0, 80)}\`.`, suggestion)
  }
  return value as JsonObject // a parsed object that is neither null nor a list
}

function splitAssignment(word: string): { readonly name: string; readonly text: string; readonly isJson: boolean } {
  const match = /^([^=:]+)(:?=)(.*)$/su.exec(word)
  const [, name, operator, text] = match ?? []
  if (name === undefined || text === undefined) {
    throw usage(`Expected name=value, got \`${word}\`.`, 'Write name=value for text or name:=JSON for anything else.')
  }
  return { name, text, isJson: operator === ':=' }
}

function readTyped(name: string, text: string, declared: string | readonly string[] | null): Json {
  const types = typeof declared === 'string' ? [declared] : (declared ?? ['string'])
  if (types.includes('string') || types.length === 0) return text
  return parseJson(name, text, { expected: types.join(' or ') })
}

function parseJson(
  name: string,
  text: string,
  { expected = 'JSON', suggestion = `Write name:=JSON, such as ${name}:=true or ${name}:='["a"]'.` } = {},
): Json {
  try {
    return JSON.parse(text) as Json // JSON.parse gives JSON values only
  } catch {
    throw usage(`Expected \`${name}\` to be ${expected}, got \`${text.slice(0, 80)}\`.`, suggestion)
  }
}

function usage(message: string, suggestion: string): KiwiError {
  return new KiwiError('INVALID_REQUEST', message, { suggestion })
}
