import type { Json, JsonObject } from '../../../json.ts'

/** What a server sent, seen as an object; null when it is anything else. */
export function asObject(value: unknown): JsonObject | null {
  // JSON.parse gives only JSON values, and everything read here came out of it.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null
}

/** The elements of what should be an array; empty when it is anything else. */
export function asArray(value: unknown): readonly Json[] {
  // As above: only parsed JSON is read here.
  return Array.isArray(value) ? (value as readonly Json[]) : []
}

/** A non-empty string, else null. Imitators send `""` where the original sends nothing. */
export function asText(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

/** A token counter: a finite number of at least 0, else null, which means that the class was not named. */
export function asCount(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? Math.floor(value) : null
}

/** Parsed JSON, or `undefined` for text that is not JSON. */
export function parseJson(text: string): Json | undefined {
  try {
    // JSON.parse can give nothing but JSON values.
    return JSON.parse(text) as Json
  } catch {
    // The caller decides what bad text means; the reason is recomputed only where it is shown.
    return undefined
  }
}

/** Why `text` is not JSON; null when it is. */
export function jsonProblem(text: string): string | null {
  try {
    JSON.parse(text)
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
