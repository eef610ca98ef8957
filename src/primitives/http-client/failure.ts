import type { HttpError, HttpErrorCode } from './contract.ts'

/** The name of a timer as users configure it in `timeouts_ms`. */
export type TimerName = 'connect' | 'first_byte' | 'between_bytes' | 'total'

/** Method, origin and path: what messages call the request. No query and no headers, they can hold secrets. */
export function describeRequest(method: string, url: URL): string {
  return `${method} ${url.origin}${url.pathname}`
}

/** An error of this client; `retryable` says that the same call can succeed later, not that repeating it is safe. */
export function failure(
  code: HttpErrorCode,
  message: string,
  facts: { retryable?: boolean; detail?: Record<string, unknown> } = {},
): HttpError {
  const base = { code, message, retryable: facts.retryable ?? false }
  return facts.detail === undefined ? base : { ...base, detail: facts.detail }
}

const TIMER_TEXT: Readonly<Record<TimerName, string>> = {
  connect: 'no connection',
  first_byte: 'no byte of an answer',
  between_bytes: 'no further byte of the answer',
  total: 'the call was not finished',
}

/** A timer ran out. */
export function timeoutFailure(request: string, timer: TimerName, ms: number): HttpError {
  const message = `${request}: ${TIMER_TEXT[timer]} within ${ms} ms. Raise \`timeouts_ms.${timer}\` if the server is only slow.`
  return failure('TIMEOUT', message, { retryable: true, detail: { timer, ms } })
}

/** The caller's signal fired. */
export function abortFailure(request: string): HttpError {
  return failure('ABORTED', `${request}: aborted by the caller.`)
}

/** A cap of `limits` was reached; what came before it was delivered. */
export function limitFailure(request: string, limit: string, value: number): HttpError {
  const message = `${request}: the answer is over \`limits.${limit}\` (${value}). Raise it if such answers are expected.`
  return failure('LIMIT_EXCEEDED', message, { detail: { limit, value } })
}

const REFUSED = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'ENETDOWN', 'EHOSTDOWN'])
const DNS = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME'])
const TLS =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|CRL_|EPROTO$|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED)/

/** An error of Node's sockets, TLS or HTTP parser in this client's codes. */
export function networkFailure(request: string, error: Error): HttpError {
  const code = systemCode(error)
  const detail = { system_code: code }
  if (REFUSED.has(code)) {
    return failure(
      'CONNECTION_REFUSED',
      `${request}: connection refused (${code}). Check that the server runs and that \`url\` is right.`,
      {
        retryable: true,
        detail,
      },
    )
  }
  if (DNS.has(code)) {
    return failure('DNS_FAILED', `${request}: the host name was not found (${code}). Check \`url\`.`, { retryable: true, detail })
  }
  if (TLS.test(code))
    return failure('TLS_FAILED', `${request}: no trusted TLS connection: ${error.message} (${code}).`, { detail })
  if (code.startsWith('HPE_'))
    return failure('INVALID_RESPONSE', `${request}: the answer is not HTTP: ${error.message}.`, { detail })
  if (code === 'ETIMEDOUT') {
    const message = `${request}: the network gave up connecting (ETIMEDOUT).`
    return failure('TIMEOUT', message, { retryable: true, detail: { timer: 'connect', ...detail } })
  }
  return failure('CONNECTION_RESET', `${request}: the connection was lost before an answer: ${error.message} (${code}).`, {
    retryable: true,
    detail,
  })
}

/** The transport ended before the answer did. */
export function cutFailure(request: string, mode: 'sync' | 'stream', detail: Record<string, unknown>): HttpError {
  const code = mode === 'stream' ? 'STREAM_INCOMPLETE' : 'CONNECTION_RESET'
  return failure(code, `${request}: the answer was cut before its end; what arrived was kept.`, { retryable: true, detail })
}

/** A connect to several addresses fails with an AggregateError; its first member says why. */
function systemCode(error: Error): string {
  const first =
    error instanceof AggregateError ? error.errors.find((member) => member instanceof Error && 'code' in member) : undefined
  const source: unknown = first ?? error
  return typeof source === 'object' && source !== null && 'code' in source && typeof source.code === 'string'
    ? source.code
    : 'UNKNOWN'
}
