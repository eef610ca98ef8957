import type { Json, JsonObject } from '../../json.ts'
import { hiddenCharacters } from './neutral-text.ts'

const MAX_DEPTH = 8
const MAX_NAME_CHARACTERS = 128

/** Keys that a careless program copies onto a prototype, and the merge key that strict YAML refuses. */
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype', '<<'])

/**
 * A value (of `default`, `enum`, `const`) that can stand in a file as it is, its keys sorted; undefined when it cannot: it has to be bounded,
 * without invisible characters, prototype keys and numbers that lose digits. It is sent exactly so, which is why nothing is neutralised.
 */
export function plainValue(value: Json, maxCharacters: number): Json | undefined {
  if (!isPlain(value, 0)) return undefined
  const plain = sortedKeys(value)
  return JSON.stringify(plain).length <= maxCharacters ? plain : undefined
}

/** The same value with the keys of every map in one order. Recurses as deep as the value goes. */
export function sortedKeys(value: Json): Json {
  if (isList(value)) return value.map(sortedKeys)
  if (!isMap(value)) return value
  const keys = Object.keys(value).toSorted()
  return Object.fromEntries(keys.map((key) => [key, sortedKeys(value[key] ?? null)] as const))
}

/** Whether the name of a property can stand in a file. */
export function isPlainName(name: string): boolean {
  return name.length <= MAX_NAME_CHARACTERS && !FORBIDDEN_KEYS.has(name) && hiddenCharacters(name).length === 0
}

export function isPlainNumber(value: Json): value is number {
  return typeof value === 'number' && Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
}

export function isMap(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

function isPlain(value: Json, depth: number): boolean {
  if (depth > MAX_DEPTH) return false
  if (typeof value === 'string') return hiddenCharacters(value).length === 0
  if (typeof value === 'number') return isPlainNumber(value)
  if (isList(value)) return value.every((child) => isPlain(child, depth + 1))
  if (!isMap(value)) return true
  return Object.entries(value).every(([key, child]) => isPlainName(key) && isPlain(child, depth + 1))
}
