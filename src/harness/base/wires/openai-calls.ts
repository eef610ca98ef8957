import type { Json, JsonObject } from '../../../json.ts'
import type { PartialCall, ToolCall } from '../conversation.ts'
import { closeArguments, createObjectScan } from './tool-arguments.ts'
import type { ObjectScan } from './tool-arguments.ts'
import { createTextPieces } from './text-pieces.ts'
import type { TextPieces } from './text-pieces.ts'
import { asArray, asCount, asObject, asText, jsonProblem } from './untrusted-json.ts'

/** One tool call while its fragments arrive. */
export interface OpenCall {
  readonly id: string | null
  readonly index: number | null
  name: string | null
  readonly fragments: TextPieces
  readonly scan: ObjectScan
}

/**
 * Takes the `tool_calls` of one delta. A fragment belongs to the call with its id, else to the newest call with its index (the newest
 * call where there is no index), unless it begins another one: a new name, or more text after a complete JSON object. Gives the
 * calls that began here.
 */
export function addCallFragments(calls: OpenCall[], deltas: Json | undefined): readonly OpenCall[] {
  const begun: OpenCall[] = []
  for (const value of asArray(deltas)) {
    const delta = asObject(value)
    if (delta === null) continue
    const fn = asObject(delta['function'])
    const name = asText(fn?.['name'])
    const text = argumentText(fn?.['arguments'])
    const known = findCall(calls, delta, { name, text })
    const call = known ?? beginCall(calls, delta)
    if (known === null) begun.push(call)
    call.name ??= name
    if (text !== '') {
      call.fragments.add(text)
      call.scan.add(text)
    }
  }
  return begun
}

/** Arguments are text; some servers send the object itself. */
function argumentText(value: Json | undefined): string {
  if (typeof value === 'string') return value
  return asObject(value) === null ? '' : JSON.stringify(value)
}

function beginCall(calls: OpenCall[], delta: JsonObject): OpenCall {
  const call = {
    id: asText(delta['id']),
    index: asCount(delta['index']),
    name: null,
    fragments: createTextPieces(),
    scan: createObjectScan(),
  }
  calls.push(call)
  return call
}

function findCall(
  calls: readonly OpenCall[],
  delta: JsonObject,
  { name, text }: { name: string | null; text: string },
): OpenCall | null {
  const id = asText(delta['id'])
  const byId = id === null ? undefined : calls.findLast((call) => call.id === id)
  if (byId !== undefined) return text !== '' && byId.scan.isClosed() ? null : byId
  const index = asCount(delta['index'])
  const candidate = index === null ? calls.at(-1) : calls.findLast((call) => call.index === index)
  // An id that is not known yet begins a call, whatever its index says.
  if (candidate === undefined || id !== null) return null
  if (name !== null && candidate.name !== null && (name !== candidate.name || candidate.scan.isClosed())) return null
  return text !== '' && candidate.scan.isClosed() ? null : candidate
}

/** A call at the end of the stream: whole, or partial. */
export type FinishedCall =
  | { readonly kind: 'call'; readonly call: ToolCall; readonly argumentsText: string }
  | { readonly kind: 'partial'; readonly partial: PartialCall }

export interface StreamEnd {
  /** A finish reason arrived, so every call had ended. */
  readonly finished: boolean
  /** The output limit ended the answer. */
  readonly truncated: boolean
  /** Makes the id of a call that came without one; stable for one answer. */
  readonly idOf: (position: number) => string
}

/** Without a finish reason only a complete JSON object proves that a call had ended; empty arguments prove nothing then. */
export function finishCalls(calls: readonly OpenCall[], { finished, truncated, idOf }: StreamEnd): readonly FinishedCall[] {
  const ids = new Set<string>()
  return calls.map((open, position) => {
    const text = open.fragments.text()
    // Answers are matched by id, so a repeated one is replaced.
    const id = open.id === null || ids.has(open.id) ? idOf(position) : open.id
    ids.add(id)
    const closed = closeArguments(text)
    const complete = finished ? !(truncated && closed.invalid !== null) : text.trim() !== '' && open.scan.isClosed()
    if (!complete || open.name === null) {
      const partial = {
        id,
        name: open.name,
        bytesCollected: Buffer.byteLength(text),
        jsonParseError: text === '' ? null : jsonProblem(text),
      }
      return { kind: 'partial', partial }
    }
    const call = { id, name: open.name, arguments: closed.value, ...(closed.invalid === null ? {} : { invalid: closed.invalid }) }
    return { kind: 'call', call, argumentsText: closed.text }
  })
}
