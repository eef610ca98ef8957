import type { Json, JsonObject } from '../../json.ts'
import { suggestName } from './nearest-name.ts'
import type { Finding, Position } from './source-text.ts'

export type FieldPath = readonly (string | number)[]

/** Reads typed fields out of an untrusted object; every wrong one becomes a finding at its place. */
export interface FieldReader {
  readonly problems: readonly Finding[]
  readonly warnings: readonly Finding[]
  /** How messages call the field at `path`. */
  readonly label: (path: FieldPath) => string
  problem(path: FieldPath, reason: string, fix: string): void
  warn(path: FieldPath, reason: string, fix: string): void
  /** Null when absent or wrong. Empty text is wrong. */
  text(object: JsonObject, path: FieldPath): string | null
  flag(object: JsonObject, path: FieldPath): boolean | null
  map(object: JsonObject, path: FieldPath): JsonObject | null
  list(object: JsonObject, path: FieldPath): readonly Json[] | null
  choice<Choice extends string>(object: JsonObject, path: FieldPath, choices: readonly Choice[]): Choice | null
  /** Warns of keys that nothing reads. */
  onlyKeys(object: JsonObject, path: FieldPath, known: readonly string[]): void
}

export interface FieldReaderOptions {
  readonly locate: (path: FieldPath) => Position
  /** How a path is called in messages: `config.url` in YAML, `__version__` in a module. */
  readonly label: (path: FieldPath) => string
}

/** In all methods the last step of a path is the key that is read from `object`. */
export function createFieldReader(options: FieldReaderOptions): FieldReader {
  const problems: Finding[] = []
  const warnings: Finding[] = []
  const problem = (path: FieldPath, reason: string, fix: string): void => {
    problems.push({ ...options.locate(path), reason, fix })
  }
  const warn = (path: FieldPath, reason: string, fix: string): void => {
    warnings.push({ ...options.locate(path), reason, fix })
  }
  const read = <Value extends Json>(object: JsonObject, path: FieldPath, expect: Expectation<Value>): Value | null => {
    const key = String(path.at(-1))
    const value = Object.hasOwn(object, key) ? (object[key] ?? null) : null
    if (value === null) return null
    if (expect.accepts(value)) return value
    problem(
      path,
      `\`${options.label(path)}\` must be ${expect.what}, got ${describe(value)}`,
      expect.fix ?? `Write ${expect.what}.`,
    )
    return null
  }
  return {
    problems,
    warnings,
    label: options.label,
    problem,
    warn,
    text: (object, path) => read(object, path, TEXT),
    flag: (object, path) => read(object, path, FLAG),
    map: (object, path) => read(object, path, MAP),
    list: (object, path) => read(object, path, LIST),
    choice<Choice extends string>(object: JsonObject, path: FieldPath, choices: readonly Choice[]): Choice | null {
      const what = choices.map((choice) => `\`${choice}\``).join(' or ')
      const accepts = (value: Json): value is Choice => choices.some((choice) => choice === value)
      return read(object, path, { what, accepts })
    },
    onlyKeys(object, path, known) {
      for (const key of Object.keys(object)) {
        if (!known.includes(key))
          warn([...path, key], `nothing reads \`${options.label([...path, key])}\``, suggestName(key, known))
      }
    },
  }
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value as messages show it: its type, and the value when it is short. */
export function describe(value: Json): string {
  if (Array.isArray(value)) return 'a list'
  if (value === null) return 'nothing'
  if (typeof value === 'object') return 'a map'
  const shown = JSON.stringify(value)
  return `the ${typeof value === 'string' ? 'text' : typeof value} ${shown.length > 60 ? `${shown.slice(0, 57)}…` : shown}`
}

interface Expectation<Value extends Json> {
  readonly what: string
  readonly fix?: string
  accepts(value: Json): value is Value
}

const TEXT: Expectation<string> = {
  what: 'text',
  fix: 'Write text; put numbers, true, false and dates in quotes.',
  accepts: (value): value is string => typeof value === 'string' && value.trim() !== '',
}
const FLAG: Expectation<boolean> = { what: '`true` or `false`', accepts: (value): value is boolean => typeof value === 'boolean' }
const MAP: Expectation<JsonObject> = { what: 'a map', accepts: isJsonObject }
const LIST: Expectation<readonly Json[]> = { what: 'a list', accepts: (value): value is readonly Json[] => Array.isArray(value) }
