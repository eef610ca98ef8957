import type { Json, JsonObject } from '../../json.ts'
import type { Requirement, ToolDefinition } from '../items/item.ts'

/**
 * What a link behind the leaf requires of its own parameters. It is met by the values that really stand where its templates stood: a tool
 * file that writes `server: memory` in place of `{server}` is about that server, whatever its own caller calls a parameter of that name.
 */
export interface InheritedRequires {
  readonly requires: readonly Requirement[]
  /** Where in the configuration the link has a parameter as a whole value. */
  readonly places: ReadonlyMap<string, readonly string[]>
}

const WHOLE_VALUE = /^\{([A-Za-z_][\w-]*)\}$/

/** Null for a link all of whose requirements are the same for every call, or which has no parameter as a whole value. */
export function inheritedRequires({ requires, config }: ToolDefinition): InheritedRequires | null {
  const depending = requires.filter((requirement) => !isConstant(requirement))
  const places = new Map<string, readonly string[]>()
  if (depending.length > 0) collectPlaces(config, [], places)
  return places.size === 0 ? null : { requires: depending, places }
}

/** The parameters that the link is asked for with. */
export function inheritedParameters({ places }: InheritedRequires, config: JsonObject, given: JsonObject): JsonObject {
  const parameters = new Map(Object.entries(given))
  for (const [name, path] of places) {
    const value = valueAt(config, path)
    if (value === undefined) parameters.delete(name)
    else parameters.set(name, value)
  }
  return Object.fromEntries(parameters)
}

/** A scope without placeholder does not depend on parameters; a bare capability may. */
function isConstant(requirement: Requirement): boolean {
  return typeof requirement !== 'string' && Object.values(requirement.scope).every((text) => !text.includes('{'))
}

function collectPlaces(value: JsonObject, path: readonly string[], places: Map<string, readonly string[]>): void {
  for (const [key, child] of Object.entries(value)) {
    const at = [...path, key]
    if (isMap(child)) collectPlaces(child, at, places)
    const name = typeof child === 'string' ? WHOLE_VALUE.exec(child)?.[1] : undefined
    if (name !== undefined && !places.has(name)) places.set(name, at)
  }
}

function valueAt(config: JsonObject, path: readonly string[]): Json | undefined {
  let value: Json | undefined = config
  for (const key of path) value = isMap(value) && Object.hasOwn(value, key) ? value[key] : undefined
  return value
}

function isMap(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
