import type { Json, JsonObject } from '../../json.ts'
import type { ToolDefinition } from '../items/item.ts'

/** A key that could reach a prototype; the message names it. */
export class ForbiddenKeyError extends Error {
  override readonly name = 'ForbiddenKeyError'
  readonly path: readonly string[]

  constructor(path: readonly string[]) {
    super(`The key ${JSON.stringify(path.at(-1))} may not stand in a configuration. Rename it.`)
    this.path = path
  }
}

const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * `over` laid on `base`: maps merge by key at every depth, everything else replaces. Neither argument is changed.
 *
 * @throws {ForbiddenKeyError} for `__proto__`, `constructor` and `prototype` at any depth of either map.
 */
export function mergeConfig(base: JsonObject, over: JsonObject, path: readonly string[] = []): JsonObject {
  const merged = new Map<string, Json>()
  for (const [key, value] of Object.entries(base)) merged.set(key, checked(value, allowed(key, path)))
  for (const [key, value] of Object.entries(over)) {
    const at = allowed(key, path)
    const below = merged.get(key)
    merged.set(key, isMap(below) && isMap(value) ? mergeConfig(below, value, at) : checked(value, at))
  }
  return Object.fromEntries(merged)
}

/** One link's share of the merged configuration. Its top-level `retry` wins over the `retry` of its own config. */
function linkConfig(link: ToolDefinition): JsonObject {
  return link.retry === null ? link.config : mergeConfig(link.config, { retry: link.retry })
}

/** The configuration of a chain given leaf first: the primitive's values give way to those nearer the caller. */
export function mergeChain(leafFirst: readonly ToolDefinition[]): JsonObject {
  return leafFirst.toReversed().reduce<JsonObject>((merged, link) => mergeConfig(merged, linkConfig(link)), {})
}

function allowed(key: string, path: readonly string[]): readonly string[] {
  const at = [...path, key]
  if (FORBIDDEN.has(key)) throw new ForbiddenKeyError(at)
  return at
}

function checked(value: Json, path: readonly string[]): Json {
  if (isMap(value)) return mergeConfig({}, value, path)
  if (isList(value)) return value.map((child, index) => checked(child, [...path, String(index)]))
  return value
}

function isMap(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}
