import type { Json, JsonObject } from '../../json.ts'
import type { ParsedRpc, RpcErrorObject, RpcId, RpcViolation } from './contract.ts'
import { isWithinBounds, MESSAGE_BOUNDS } from '../json-text/json-bounds.ts'
import type { RpcParams } from './build-message.ts'

/** One JSON text: a message, or a batch whose entries are for `parseRpc`, one after the other: a long one need not be looked at to its end. */
export type ParsedRpcText =
  | { readonly kind: 'single'; readonly parsed: ParsedRpc }
  | { readonly kind: 'batch'; readonly entries: readonly unknown[] }

/** The caller caps the length of `text`; how deep and how wide it may be is bounded here, before it is parsed. */
export function parseRpcText(text: string): ParsedRpcText {
  if (!isWithinBounds(text, MESSAGE_BOUNDS)) return { kind: 'single', parsed: invalid('too_complex', TOO_COMPLEX) }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return {
      kind: 'single',
      parsed: invalid('not_json', `it is not JSON: ${error instanceof Error ? error.message : String(error)}`),
    }
  }
  return parseRpcValue(value)
}

const TOO_COMPLEX = `it nests deeper than ${MESSAGE_BOUNDS.maxDepth} levels, or holds more than ${MESSAGE_BOUNDS.maxValues} values`

/** As `parseRpcText`, for what was parsed as JSON already. */
export function parseRpcValue(value: unknown): ParsedRpcText {
  if (!Array.isArray(value)) return { kind: 'single', parsed: parseRpc(value) }
  if (value.length === 0) return { kind: 'single', parsed: invalid('empty_batch', 'it is a batch of nothing') }
  return { kind: 'batch', entries: value }
}

/** One message, never a batch. `value` is what `JSON.parse` gave and is not copied. */
export function parseRpc(value: unknown): ParsedRpc {
  if (!isMap(value)) return invalid('not_an_object', 'it is no object')
  const id = readId(value)
  if (value['jsonrpc'] !== '2.0') return invalid('wrong_version', '`jsonrpc` is not "2.0"', id)
  const answers = Object.hasOwn(value, 'result') || Object.hasOwn(value, 'error')
  if (!Object.hasOwn(value, 'method')) return parseResponse(value, id)
  if (answers) return invalid('bad_method', 'it is a request and an answer at once', id)
  return parseRequest(value, id)
}

function parseRequest(value: JsonObject, id: RpcId | null): ParsedRpc {
  const { method } = value
  if (typeof method !== 'string') return invalid('bad_method', '`method` is no text', id)
  const hasParams = Object.hasOwn(value, 'params')
  const params = readParams(value['params'])
  if (hasParams && params === null) return invalid('bad_params', '`params` is neither an object nor a list', id)
  const call = params === null ? ({ jsonrpc: '2.0', method } as const) : ({ jsonrpc: '2.0', method, params } as const)
  if (!Object.hasOwn(value, 'id')) return { kind: 'notification', message: call }
  if (id === null) return invalid('bad_id', '`id` is neither text nor a whole number')
  return { kind: 'request', message: { ...call, id } }
}

function parseResponse(value: JsonObject, id: RpcId | null): ParsedRpc {
  const { result, error } = value
  if (result !== undefined && error !== undefined) return invalid('result_and_error', 'it has both `result` and `error`', id)
  if (result !== undefined) {
    if (id === null) return invalid('bad_id', 'a result has no `id` that is text or a whole number')
    return { kind: 'response', message: { jsonrpc: '2.0', id, result } }
  }
  if (error === undefined) return invalid('neither_result_nor_error', 'it has no `method`, no `result` and no `error`', id)
  // Only the answer to what could not be read has null.
  if (id === null && value['id'] !== null) return invalid('bad_id', 'an error has no `id` that is text, a whole number or null')
  const read = readError(error)
  if (read === null) return invalid('bad_error', '`error` lacks a whole number as `code` or a text as `message`', id)
  return { kind: 'response', message: { jsonrpc: '2.0', id, error: read } }
}

function readId({ id }: JsonObject): RpcId | null {
  return typeof id === 'string' || Number.isSafeInteger(id) ? (id as RpcId) : null // isSafeInteger holds for numbers alone
}

function readParams(value: Json | undefined): RpcParams | null {
  return typeof value === 'object' && value !== null ? value : null
}

function readError(value: Json): RpcErrorObject | null {
  if (!isMap(value)) return null
  const { code, message, data } = value
  if (typeof code !== 'number' || !Number.isSafeInteger(code) || typeof message !== 'string') return null
  return data === undefined ? { code, message } : { code, message, data }
}

function invalid(violation: RpcViolation, reason: string, id: RpcId | null = null): ParsedRpc {
  return { kind: 'invalid', violation, reason, id }
}

function isMap(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
