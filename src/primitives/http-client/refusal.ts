import type { IncomingMessage } from 'node:http'
import { flattenHeaders, readWholeBody } from './answer.ts'
import type { AttemptContext, AttemptResult } from './attempt.ts'
import type { HttpError, HttpErrorCode } from './contract.ts'
import { failure } from './failure.ts'

const CODES: Readonly<Record<number, HttpErrorCode>> = { 429: 'RATE_LIMITED', 503: '503_SERVICE_UNAVAILABLE', 529: 'OVERLOADED' }
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504, 529])
/** Rate limit, unavailable, overloaded: said before any work is done. */
const REFUSING_STATUSES: ReadonlySet<number> = new Set([429, 503, 529])
const MAX_ERROR_BODY_BYTES = 10 * 1024 * 1024

/** An answer that is not 2xx, in any mode: an error that keeps its body, the readable part of it if it is broken or too long. */
export async function readRefusal(
  response: IncomingMessage,
  maxResponseBytes: number,
  context: Pick<AttemptContext, 'name' | 'lifeline'>,
): Promise<Omit<AttemptResult, 'requests'>> {
  const { name, lifeline } = context
  const statusCode = response.statusCode ?? 0
  const maxBytes = Math.min(maxResponseBytes, MAX_ERROR_BODY_BYTES)
  const { body, error: bodyError } = await readWholeBody(response, { request: name, maxBytes, lifeline })
  const error = lifeline.failure() ?? statusError(name, response, body, bodyError)
  return { statusCode, headers: flattenHeaders(response), body, error, surelyNotActed: REFUSING_STATUSES.has(statusCode) }
}

function statusError(name: string, response: IncomingMessage, body: unknown, bodyError: HttpError | null): HttpError {
  const status = response.statusCode ?? 0
  const told = providerMessage(body)
  const answer = `${name}: the server answered ${status} ${response.statusMessage ?? ''}`.trimEnd()
  const detail = { status, ...(bodyError === null ? {} : { body_problem: bodyError.code }) }
  const message = told === null ? `${answer}.` : `${answer}: ${told}`
  return failure(CODES[status] ?? 'HTTP_STATUS', message, { retryable: RETRYABLE_STATUSES.has(status), detail })
}

/** The text that a person wrote into an error body: `{error: {message}}`, `{error: "…"}`, `{message}`, or plain text. */
function providerMessage(body: unknown): string | null {
  if (typeof body === 'string') return body.trim().slice(0, 300) || null
  if (typeof body !== 'object' || body === null) return null
  const told: unknown = 'error' in body ? body.error : body
  if (typeof told === 'string') return told.slice(0, 300)
  if (typeof told === 'object' && told !== null && 'message' in told && typeof told.message === 'string')
    return told.message.slice(0, 300)
  return null
}
