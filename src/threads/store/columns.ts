import type { SQLOutputValue } from 'node:sqlite'
import type { Json, JsonObject } from '../../json.ts'

/** One row as `node:sqlite` gives it. */
export type Row = Readonly<Record<string, SQLOutputValue>>

/** A text column that the schema declares NOT NULL. */
export function text(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw new TypeError(`Expected text in registry column ${column}, got ${typeof value}.`)
  return value
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column)
}

/** An integer column that the schema declares NOT NULL. */
export function integer(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== 'number') throw new TypeError(`Expected an integer in registry column ${column}, got ${typeof value}.`)
  return value
}

export function integerOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : integer(row, column)
}

/** A column that only this package writes, always with `JSON.stringify`. */
export function json(row: Row, column: string): Json {
  // JSON.parse gives exactly the values of `Json`.
  return JSON.parse(text(row, column)) as Json
}

export function jsonObject(row: Row, column: string): JsonObject {
  const value = json(row, column)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(`Expected an object in registry column ${column}.`)
  // Neither null nor an array, so an object.
  return value as JsonObject
}
