import type { HttpError, StreamEvent } from './contract.ts'
import { failure } from './failure.ts'

const TRANSIENT = /overloaded|rate_limit|rate-limit|too_many_requests|unavailable|timeout|api_error|server_error|internal/i
const REFUSED = /overloaded|rate_limit|rate-limit|too_many_requests|unavailable/i

/** An error told inside a 200 answer. */
export interface ErrorEvent {
  readonly error: HttpError
  /** The provider refused the work (overload, rate limit): it surely did nothing. */
  readonly refused: boolean
}

/**
 * Reads an event as a provider's error, or null: an event named `error`, a payload `{"type": "error", …}`, or one with a non-empty top-level
 * `error` (OpenAI and its imitators send that without an event name).
 */
export function readErrorEvent(event: StreamEvent, request: string): ErrorEvent | null {
  const payload = parseObject(event.data)
  const told = payload === null ? undefined : own(payload, 'error')
  const hasError = (typeof told === 'object' && told !== null) || (typeof told === 'string' && told !== '')
  if (event.event !== 'error' && !hasError && (payload === null || own(payload, 'type') !== 'error')) return null

  const source = typeof told === 'object' && told !== null ? told : (payload ?? {})
  const kinds = [own(source, 'type'), own(source, 'code'), own(source, 'status')].filter(
    (kind) => typeof kind === 'string' || typeof kind === 'number',
  )
  const text = own(source, 'message')
  const message = (typeof text === 'string' ? text : typeof told === 'string' ? told : event.data).slice(0, 500)
  const kind = kinds.find((entry) => entry !== 'error') ?? 'error'
  const statuses = kinds.map(Number).filter((status) => Number.isInteger(status))
  const refused =
    kinds.some((entry) => REFUSED.test(String(entry))) || statuses.some((status) => [429, 503, 529].includes(status))
  const retryable =
    refused || kinds.some((entry) => TRANSIENT.test(String(entry))) || statuses.some((status) => status >= 500 && status < 600)
  const detail = { error_type: kind, provider_message: message }
  return {
    error: failure('STREAM_ERROR_EVENT', `${request}: the provider ended the stream with an error: ${message} (${kind}).`, {
      retryable,
      detail,
    }),
    refused,
  }
}

function parseObject(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : null
  } catch {
    // An error event may hold plain text; that text is then the message.
    return null
  }
}

function own(source: object, key: string): unknown {
  return Object.getOwnPropertyDescriptor(source, key)?.value
}
