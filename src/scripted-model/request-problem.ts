import type { Json, JsonObject } from '../json.ts'
import { isObject } from './conversation.ts'

/** A request that the real API would refuse. `status` and `type` are the provider's. */
export class RequestProblem extends Error {
  override readonly name = 'RequestProblem'
  readonly status: number
  readonly type: string

  constructor(message: string, status = 400, type = 'invalid_request_error') {
    super(message)
    this.status = status
    this.type = type
  }
}

/** Throws unless the condition holds. */
export function demand(condition: boolean, message: string): asserts condition {
  if (!condition) throw new RequestProblem(message)
}

/** The value as an object, or a refusal that names the place. */
export function objectAt(value: Json | undefined, place: string): JsonObject {
  demand(isObject(value), `${place}: Input should be an object`)
  return value
}

/** The value as a list, or a refusal that names the place. */
export function listAt(value: Json | undefined, place: string): readonly Json[] {
  demand(Array.isArray(value), `${place}: Input should be a valid list`)
  // `Array.isArray` does not narrow a readonly array type; the check above holds.
  return value as readonly Json[]
}

/** The value as a non-empty string, or a refusal that names the place. */
export function textAt(value: Json | undefined, place: string): string {
  demand(typeof value === 'string' && value !== '', `${place}: Input should be a non-empty string`)
  return value
}

/** Refuses fields that the API does not know: a misspelt one would otherwise be ignored in silence. */
export function onlyKnownFields(body: JsonObject, known: ReadonlySet<string>, message: (field: string) => string): void {
  for (const field of Object.keys(body)) demand(known.has(field), message(field))
}

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/

/** Names of the tools, each checked against the providers' rule. */
export function checkToolName(name: Json | undefined, place: string): string {
  const text = textAt(name, place)
  demand(TOOL_NAME.test(text), `${place}: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'`)
  return text
}
