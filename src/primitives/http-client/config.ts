import { createConfigReader } from './config-reader.ts'
import type { ConfigIssue, ConfigReader } from './config-reader.ts'
import { readHeaders, readUrl } from './request-head.ts'

/** Milliseconds; every one of them is on by default. */
export interface Timeouts {
  /** Name lookup, TCP and TLS. */
  readonly connectMs: number
  /** From the sent request to the first byte of the answer's body (or its end). */
  readonly firstByteMs: number
  /** Between two pieces of the body; comments and pings count as life. */
  readonly betweenBytesMs: number
  /** The whole call with all its attempts and the waits between them. */
  readonly totalMs: number
}

export interface Limits {
  readonly maxEventBytes: number
  /** Decoded bytes of one answer. */
  readonly maxResponseBytes: number
  readonly maxEvents: number
}

export interface RetryPolicy {
  readonly maxAttempts: number
  /** Wait before attempt n + 1; the last entry repeats. */
  readonly backoffMs: readonly number[]
  /** Codes (`RATE_LIMITED`) or statuses (`502`); null means everything that is retryable. */
  readonly retryableErrors: readonly string[] | null
  /** A longer `Retry-After` is shortened to this. */
  readonly maxRetryAfterMs: number
}

/** A configuration that was checked: nothing behind this type is checked again. */
export interface HttpRequest {
  readonly method: string
  readonly url: URL
  /** Lower-case names; no header that the client itself sets. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  readonly mode: 'sync' | 'stream'
  readonly transport: 'sse' | 'websocket'
  /** Most events kept for `body`; null when nobody asked for the `return` sink. */
  readonly returnBuffer: number | null
  readonly timeouts: Timeouts
  readonly limits: Limits
  readonly retry: RetryPolicy
  readonly maxRedirects: number
}

export type ParsedConfig =
  | { readonly kind: 'valid'; readonly request: HttpRequest }
  | { readonly kind: 'invalid'; readonly issues: readonly ConfigIssue[] }

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
const MEGABYTE = 1024 * 1024
const DAY_MS = 86_400_000
const MAX_REDIRECTS = 5

/**
 * Checks a merged, rendered configuration. Every issue names its field; values of headers and URLs are never repeated, they can hold secrets.
 *
 * Unknown fields at the top are left alone (a chain's configuration carries fields of other links); in the nested objects they are errors.
 */
export function parseConfig(config: unknown, mode: unknown): ParsedConfig {
  const issues: ConfigIssue[] = []
  const root = createConfigReader(config, '', issues)
  const checkedMode = readMode(mode, root, issues)
  const stream = root.object('stream', ['transport', 'destinations', 'buffer_events', 'max_buffer_size'])
  const transport = stream.oneOf('transport', ['sse', 'websocket'], 'sse')
  const webSocket = checkedMode === 'stream' && transport === 'websocket'
  const returnBuffer = readReturnBuffer(stream)
  const body = readBody(root, issues)
  const headers = readHeaders(root.value('headers'), issues)
  if (body?.isJson === true && headers['content-type'] === undefined) headers['content-type'] = 'application/json'
  const url = readUrl(root, webSocket ? ['ws:', 'wss:', 'http:', 'https:'] : ['http:', 'https:'], issues)
  const method = root.oneOf('method', METHODS, body === null ? 'GET' : 'POST', (text) => text.toUpperCase())
  const options = {
    timeouts: readTimeouts(root),
    limits: readLimits(root, checkedMode),
    retry: readRetry(root, issues),
    maxRedirects: readRedirects(root, issues),
  }
  if (url === null || issues.length > 0) return { kind: 'invalid', issues }
  const request = { method, url, headers, body: body?.text ?? null, mode: checkedMode, transport, returnBuffer, ...options }
  return { kind: 'valid', request }
}

function readMode(mode: unknown, root: ConfigReader, issues: ConfigIssue[]): 'sync' | 'stream' {
  root.oneOf('mode', ['sync', 'stream'], 'sync')
  if (mode === 'sync' || mode === 'stream') return mode
  // A wrong `mode` of the configuration is usually what was passed on as the execution's mode: one issue is enough.
  if (!issues.some((issue) => issue.field === 'mode'))
    issues.push({ field: 'mode', error: 'must be "sync" or "stream"', value: mode })
  return 'sync'
}

function readReturnBuffer(stream: ConfigReader): number | null {
  const size = stream.integer('max_buffer_size', 10_000, { min: 1, max: 1_000_000 })
  const always = stream.boolean('buffer_events', false)
  const destinations = stream.array('destinations')
  const wanted =
    always ||
    destinations.some((entry) => typeof entry === 'object' && entry !== null && 'type' in entry && entry.type === 'return')
  return wanted ? size : null
}

function readBody(root: ConfigReader, issues: ConfigIssue[]): { text: string; isJson: boolean } | null {
  const body = root.value('body')
  if (body === undefined || body === null) return null
  if (typeof body === 'string') return { text: body, isJson: false }
  try {
    const text: string | undefined = JSON.stringify(body)
    if (text !== undefined) return { text, isJson: true }
    issues.push({ field: 'body', error: 'must be a string or a JSON value' })
    return null
  } catch (error) {
    issues.push({ field: 'body', error: `must be a JSON value: ${error instanceof Error ? error.message : String(error)}` })
    return null
  }
}

function readTimeouts(root: ConfigReader): Timeouts {
  const timeouts = root.object('timeouts_ms', ['connect', 'first_byte', 'between_bytes', 'total'])
  const range = { min: 1, max: DAY_MS }
  return {
    connectMs: timeouts.integer('connect', 10_000, range),
    firstByteMs: timeouts.integer('first_byte', 120_000, range),
    betweenBytesMs: timeouts.integer('between_bytes', 60_000, range),
    totalMs: timeouts.integer('total', 600_000, range),
  }
}

function readLimits(root: ConfigReader, mode: 'sync' | 'stream'): Limits {
  const limits = root.object('limits', ['max_event_bytes', 'max_response_bytes', 'max_events'])
  const isSync = mode === 'sync'
  const responseBytes = isSync ? 10 * MEGABYTE : 256 * MEGABYTE
  return {
    maxEventBytes: limits.integer('max_event_bytes', MEGABYTE, { min: 1, max: 64 * MEGABYTE }),
    // A whole answer is held in memory, whoever asks for it.
    maxResponseBytes: limits.integer('max_response_bytes', responseBytes, { min: 1, max: (isSync ? 128 : 4096) * MEGABYTE }),
    maxEvents: limits.integer('max_events', 2_000_000, { min: 1, max: 1_000_000_000 }),
  }
}

function readRetry(root: ConfigReader, issues: ConfigIssue[]): RetryPolicy {
  const retry = root.object('retry', ['max_attempts', 'backoff_ms', 'retryable_errors', 'max_retry_after_ms'])
  const backoffMs = retry.has('backoff_ms') ? retry.array('backoff_ms') : [500, 1000, 2000, 4000, 8000]
  const valid = backoffMs.filter((wait): wait is number => Number.isInteger(wait) && Number(wait) >= 0 && Number(wait) <= DAY_MS)
  if (valid.length < backoffMs.length || valid.length === 0) {
    issues.push({ field: 'retry.backoff_ms', error: 'must be a list of at least one whole number of milliseconds' })
  }
  const codes = retry.array('retryable_errors')
  if (codes.some((code) => typeof code !== 'string' && !Number.isInteger(code))) {
    issues.push({
      field: 'retry.retryable_errors',
      error: 'must be a list of error codes ("RATE_LIMITED") or HTTP statuses (502)',
    })
  }
  return {
    maxAttempts: retry.integer('max_attempts', 1, { min: 1, max: 100 }),
    backoffMs: valid,
    retryableErrors: retry.has('retryable_errors') ? codes.map(String) : null,
    maxRetryAfterMs: retry.integer('max_retry_after_ms', 60_000, { min: 0, max: DAY_MS }),
  }
}

function readRedirects(root: ConfigReader, issues: ConfigIssue[]): number {
  const follow = root.value('follow_redirects') ?? false
  if (typeof follow === 'boolean') return follow ? MAX_REDIRECTS : 0
  if (typeof follow === 'number' && Number.isInteger(follow) && follow >= 0 && follow <= MAX_REDIRECTS) return follow
  issues.push({
    field: 'follow_redirects',
    error: `must be true, false or a whole number from 0 to ${MAX_REDIRECTS}`,
    value: follow,
  })
  return 0
}
