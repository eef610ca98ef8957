import type { Json, JsonObject } from '../../json.ts'
import { hiddenCharacters } from './neutral-text.ts'

const MAX_DEPTH = 8
const MAX_NAME_CHARACTERS = 128

/** Keys that a careless program copies onto a prototype, and the merge key that strict YAML refuses. */
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype', '<<'])

/**
 * Whether a value (of `default`, `enum`, `const`) can stand in a file as it is: bounded, no invisible characters, no prototype keys, no
 * number that loses digits. It has to be sent exactly so, which is why nothing is neutralised here.
 */
export function isPlainValue(value: Json, maxCharacters: number): boolean {
  return isPlain(value, 0) && JSON.stringify(value).length <= maxCharacters
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
