/**
 * Stands between a transport and the client of the SDK, which forgives what a hostile server sends: it converts ids, drops what it cannot match,
 * and answers what it was never asked to allow. Here the first wrong message ends the session.
 *
 * F1. Text is bounded (length, depth, number of values) before it is parsed.
 * F2. An id that was sent is answered at most once, with the very id: `"1"` does not answer `1`.
 * F3. One late answer to a request that was given up is dropped in silence: it was under way.
 * F4. A server may ask for nothing but `ping`.
 * F5. After the first violation nothing passes any more.
 */
import type { JSONRPCMessage } from '@modelcontextprotocol/client'
import type { McpViolation } from '../contract.ts'
import { quoted } from './failures.ts'
import { createFloodMeter } from './flood-meter.ts'
import type { FloodMeter } from './flood-meter.ts'
import { isWithinBounds, MESSAGE_BOUNDS } from '../../primitives/json-text/json-bounds.ts'

export interface FrameGuard {
  /** Notes a message that is about to be sent. */
  sent(message: JSONRPCMessage): void
  /** The message of a line or an event, for the client; null when there is none to deliver. */
  message(text: string): JSONRPCMessage | null
  /** The messages of an answer's body, which may be a batch. */
  messages(text: string): readonly JSONRPCMessage[]
  /** Counts what is no message: comments, unknown events. */
  noise(messages: number, bytes: number): void
  /** The request will not be answered, or need not be any more. */
  giveUp(id: RequestId): void
  isPending(id: RequestId): boolean
  pendingCount(): number
  /** Ends the session for what a transport has seen. `reason` is a phrase about the server, without a full stop. */
  violate(violation: McpViolation, reason: string): void
}

export type RequestId = string | number

export interface FrameGuardOptions {
  /** Told once, of the first violation. */
  readonly onViolation: (violation: McpViolation, reason: string) => void
  /** Told of each notification that passes, before the client gets it. */
  readonly onNotification: (method: string) => void
  /** UTF-8 bytes of one message. */
  readonly maxMessageBytes: number
  readonly meter?: FloodMeter
}

const MAX_QUOTED = 80
/** Late answers to requests that were given up longer ago than this many count as a second answer. */
const MAX_GIVEN_UP = 4_096

export function createFrameGuard(options: FrameGuardOptions): FrameGuard {
  const { maxMessageBytes, onNotification } = options
  const meter = options.meter ?? createFloodMeter()
  const pending = new Set<RequestId>()
  const givenUp = new Set<RequestId>()
  // The SDK numbers its requests in order, so that answered ones need not be remembered; its few named ones are.
  let nextNumber = 0
  const named = new Set<string>()
  let isOver = false

  function violate(violation: McpViolation, reason: string): null {
    if (isOver) return null
    isOver = true
    pending.clear()
    givenUp.clear()
    options.onViolation(violation, reason)
    return null
  }

  function noise(messages: number, bytes: number): boolean {
    if (isOver) return false
    if (meter.take(messages, bytes)) return true
    violate('flood', 'sent more than it may without being asked')
    return false
  }

  function giveUp(id: RequestId): void {
    if (!pending.delete(id)) return
    givenUp.add(id)
    const [oldest] = givenUp
    if (givenUp.size > MAX_GIVEN_UP && oldest !== undefined) givenUp.delete(oldest)
  }

  function answer(frame: Frame, id: RequestId | null, bytes: number): JSONRPCMessage | null {
    if (id === null) return violate('unknown_id', 'sent an answer without an id')
    if (pending.delete(id)) return asMessage(frame)
    // F3
    if (givenUp.delete(id)) {
      noise(1, bytes)
      return null
    }
    const wasSent = typeof id === 'number' ? Number.isInteger(id) && id >= 0 && id < nextNumber : named.has(id)
    if (wasSent) return violate('duplicate_id', `answered the request ${quoteId(id)} twice`)
    return violate('unknown_id', `answered the request ${quoteId(id)}, which was not sent`)
  }

  function judge(value: unknown, bytes: number): JSONRPCMessage | null {
    const read = readFrame(value)
    switch (read.kind) {
      case 'invalid':
        return violate(read.violation, read.reason)
      case 'answer':
        return answer(read.frame, read.id, bytes)
      case 'request':
        // F4
        if (read.method !== 'ping')
          return violate('not_granted', `asked for ${quoteMethod(read.method)}, which it was not granted`)
        return noise(1, bytes) ? asMessage(read.frame) : null
      case 'notification':
        if (!noise(1, bytes)) return null
        onNotification(read.method)
        return asMessage(read.frame)
    }
  }

  /** F1 */
  function parse(text: string): { readonly value: unknown; readonly bytes: number } | null {
    if (isOver) return null
    const bytes = Buffer.byteLength(text)
    if (bytes > maxMessageBytes || !isWithinBounds(text, MESSAGE_BOUNDS))
      return violate('message_too_long', `sent a message of more than ${maxMessageBytes} bytes, or one nested too deeply`)
    try {
      const value: unknown = JSON.parse(text)
      return { value, bytes }
    } catch {
      return violate('not_json_rpc', `sent text that is no message: "${quoted(text, MAX_QUOTED)}"`)
    }
  }

  return {
    sent(message) {
      if (isOver) return
      if ('method' in message && 'id' in message) {
        pending.add(message.id)
        if (typeof message.id === 'number') nextNumber = Math.max(nextNumber, message.id + 1)
        else named.add(message.id)
      } else if ('method' in message && message.method === 'notifications/cancelled') {
        const id = message.params?.['requestId']
        if (typeof id === 'number' || typeof id === 'string') giveUp(id)
      }
    },
    message(text) {
      const parsed = parse(text)
      return parsed === null ? null : judge(parsed.value, parsed.bytes)
    },
    messages(text) {
      const parsed = parse(text)
      if (parsed === null) return []
      const { value, bytes } = parsed
      const frames: readonly unknown[] = Array.isArray(value) ? value : [value]
      if (frames.length === 0) violate('not_json_rpc', 'sent an empty batch')
      return frames.map((frame) => (isOver ? null : judge(frame, bytes))).filter((message) => message !== null)
    },
    noise: (messages, bytes) => void noise(messages, bytes),
    giveUp,
    isPending: (id) => pending.has(id),
    pendingCount: () => pending.size,
    violate: (violation, reason) => void violate(violation, reason),
  }
}

type Frame = Readonly<Record<string, unknown>>

type ReadFrame =
  | { readonly kind: 'invalid'; readonly violation: McpViolation; readonly reason: string }
  | { readonly kind: 'answer'; readonly frame: Frame; readonly id: RequestId | null }
  | { readonly kind: 'request'; readonly frame: Frame; readonly method: string }
  | { readonly kind: 'notification'; readonly frame: Frame; readonly method: string }

/** As strict as the schemas of the SDK, which drop what does not fit without a word; a member that they do not know is left out. */
function readFrame(value: unknown): ReadFrame {
  if (!isObject(value) || value['jsonrpc'] !== '2.0') return invalid('sent JSON that is no JSON-RPC 2.0 message')
  const { id, method, params, result, error } = value
  if (id !== undefined && id !== null && typeof id !== 'string' && !Number.isInteger(id))
    return invalid('sent a message whose id is no id')
  // Checked right above.
  const knownId = (id ?? null) as RequestId | null
  if (method !== undefined) {
    if (typeof method !== 'string' || (params !== undefined && !isObject(params)) || result !== undefined || error !== undefined)
      return invalid('sent a request that is none')
    const frame = { jsonrpc: '2.0', method, ...(params === undefined ? {} : { params }) }
    if (id === undefined) return { kind: 'notification', frame, method }
    if (knownId === null) return invalid('sent a request with the id null')
    return { kind: 'request', frame: { ...frame, id: knownId }, method }
  }
  if (result !== undefined && error !== undefined)
    return { kind: 'invalid', violation: 'result_and_error', reason: 'answered with a result and an error at once' }
  if (result !== undefined) {
    if (!isObject(result)) return invalid('answered with a result that is no object')
    return { kind: 'answer', frame: { jsonrpc: '2.0', id: knownId, result }, id: knownId }
  }
  if (!isObject(error) || !Number.isInteger(error['code']) || typeof error['message'] !== 'string')
    return invalid('answered with neither a result nor an error')
  const { code, message, data } = error
  const told = { code, message, ...(data === undefined ? {} : { data }) }
  return { kind: 'answer', frame: { jsonrpc: '2.0', id: knownId, error: told }, id: knownId }
}

function invalid(reason: string): ReadFrame {
  return { kind: 'invalid', violation: 'not_json_rpc', reason }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function asMessage(frame: Frame): JSONRPCMessage {
  // `readFrame` built it member by member in the form of the SDK's own schema.
  return frame as unknown as JSONRPCMessage
}

/** Only what cannot harm a terminal. */
function quoteMethod(method: string): string {
  return JSON.stringify(method.replaceAll(/[^\w./-]/g, '?').slice(0, 80))
}

function quoteId(id: RequestId): string {
  return typeof id === 'number' ? String(id) : quoteMethod(id)
}
