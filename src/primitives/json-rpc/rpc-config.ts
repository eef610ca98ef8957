import type { Json, JsonObject } from '../../json.ts'
import { createIds, rpcNotification, rpcRequest, type RpcParams } from './build-message.ts'
import type { RpcId, RpcNotification, RpcRequest } from './contract.ts'

/** What one call says to the other side. */
export interface RpcExchange {
  /** In the order in which they are sent. */
  readonly messages: readonly (RpcRequest | RpcNotification)[]
  /** Those of them that are answered. */
  readonly requests: readonly RpcRequest[]
  /** Sent as a list, even of one. */
  readonly isBatch: boolean
}

/** `config.rpc` that says nothing that could be sent; the message names the field. */
export class RpcConfigError extends Error {
  override readonly name = 'RpcConfigError'
}

const MESSAGE_FIELDS: readonly string[] = ['method', 'params', 'id', 'notification']
const FIELDS: readonly string[] = ['protocol', ...MESSAGE_FIELDS, 'batch', 'timeout_ms']
const MAX_BATCH = 1_000
const MAX_METHOD_CHARS = 1_000
/** setTimeout fires at once beyond this. */
const MAX_TIMEOUT_MS = 2_147_483_647

/**
 * `config.rpc` as data: `{method, params?, id?, notification?}`, or `batch` with a list of such. `params` is an object (named), a list (positional),
 * or absent or null (none); an id that is not given is made.
 *
 * @param more Further fields that the carrier reads itself.
 * @throws {RpcConfigError}
 */
export function readExchange(rpc: JsonObject, more: readonly string[] = []): RpcExchange {
  onlyKnown(rpc, [...FIELDS, ...more], 'rpc')
  const { batch } = rpc
  if (batch === undefined || batch === null) {
    const message = toMessage(readPart(rpc, 'rpc'), createIds())
    return { messages: [message], requests: 'id' in message ? [message] : [], isBatch: false }
  }
  const mixed = MESSAGE_FIELDS.find((field) => isGiven(rpc[field]))
  if (mixed !== undefined)
    throw new RpcConfigError(`\`rpc\` has both \`batch\` and \`${mixed}\`. Put every message into the batch.`)
  if (!isList(batch) || batch.length === 0 || batch.length > MAX_BATCH)
    throw new RpcConfigError(`Expected \`rpc.batch\` to be a list of 1 to ${MAX_BATCH} messages.`)
  const parts = batch.map((entry, index) => readBatchEntry(entry, `rpc.batch[${index}]`))
  const taken = new Set<RpcId>()
  for (const { id } of parts) {
    if (id === undefined) continue
    if (taken.has(id))
      throw new RpcConfigError(`\`rpc.batch\` uses the id ${JSON.stringify(id)} twice, so its answers could not be told apart.`)
    taken.add(id)
  }
  const nextId = createIds(taken)
  const messages = parts.map((part) => toMessage(part, nextId))
  return { messages, requests: messages.filter((message) => 'id' in message), isBatch: true }
}

/** `rpc.timeout_ms`, else `timeout_ms` beside it; undefined where neither is given. @throws {RpcConfigError} */
export function readTimeoutMs(config: JsonObject, rpc: JsonObject): number | undefined {
  const value = rpc['timeout_ms'] ?? config['timeout_ms']
  if (value === undefined || value === null) return undefined
  return Math.min(positive(value, 'timeout_ms'), MAX_TIMEOUT_MS)
}

/** @throws {RpcConfigError} */
export function positive(value: Json, field: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value
  throw new RpcConfigError(`Expected \`${field}\` to be a positive integer, got ${shown(value)}.`)
}

/** Absent and null are no texts at all. @throws {RpcConfigError} */
export function texts(value: Json | undefined, field: string): readonly string[] {
  if (value === undefined || value === null) return []
  if (isList(value) && value.every((one) => typeof one === 'string')) return value
  throw new RpcConfigError(`Expected \`${field}\` to be a list of texts, got ${shown(value)}.`)
}

interface MessagePart {
  readonly method: string
  readonly params: RpcParams | undefined
  readonly id: RpcId | undefined
  readonly isNotification: boolean
}

function readBatchEntry(entry: Json, at: string): MessagePart {
  if (!isMap(entry)) throw new RpcConfigError(`Expected \`${at}\` to be {method, params, id, notification}, got ${shown(entry)}.`)
  onlyKnown(entry, MESSAGE_FIELDS, at)
  return readPart(entry, at)
}

function readPart(part: JsonObject, at: string): MessagePart {
  const { method, params, id, notification } = part
  if (typeof method !== 'string' || method === '' || method.length > MAX_METHOD_CHARS)
    throw new RpcConfigError(`Expected \`${at}.method\` to be the name of a method, got ${shown(method)}.`)
  if (isGiven(params) && typeof params !== 'object')
    throw new RpcConfigError(`Expected \`${at}.params\` to be an object or a list, got ${shown(params)}.`)
  if (isGiven(id) && typeof id !== 'string' && !Number.isSafeInteger(id))
    throw new RpcConfigError(`Expected \`${at}.id\` to be text or a whole number, got ${shown(id)}.`)
  if (isGiven(notification) && typeof notification !== 'boolean')
    throw new RpcConfigError(`Expected \`${at}.notification\` to be true or false, got ${shown(notification)}.`)
  if (notification === true && isGiven(id))
    throw new RpcConfigError(`\`${at}\` is a notification, which has no \`id\`. Leave one of them out.`)
  return {
    method,
    params: isGiven(params) ? params : undefined,
    // Checked above: text or a whole number.
    id: isGiven(id) ? (id as RpcId) : undefined,
    isNotification: notification === true,
  }
}

function toMessage({ method, params, id, isNotification }: MessagePart, nextId: () => number): RpcRequest | RpcNotification {
  return isNotification ? rpcNotification(method, params) : rpcRequest(id ?? nextId(), method, params)
}

function onlyKnown(map: JsonObject, known: readonly string[], at: string): void {
  const other = Object.keys(map).find((field) => !known.includes(field))
  if (other !== undefined)
    throw new RpcConfigError(`\`${at}\` has no field ${JSON.stringify(other)}; it has ${known.join(', ')}.`)
}

/** A template passes an absent parameter on as nothing, and null as null. */
function isGiven(value: Json | undefined): value is Exclude<Json, null> {
  return value !== undefined && value !== null
}

function shown(value: Json | undefined): string {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value)
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}

function isMap(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !isList(value)
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}
