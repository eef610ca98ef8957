import type { NetworkGrant } from '../sandbox/contract.ts'

/**
 * What the HTTP primitive takes and gives. Everything above talks to it in these words; it imports nothing of ours.
 */

/** One server-sent event (or one WebSocket message, whose `event` is `message`). `data` is the exact payload string. */
export interface StreamEvent {
  readonly event: string
  readonly data: string
  readonly id: string
}

/**
 * Where stream events go. `write` may be synchronous; a returned promise is awaited before the next write to *this* sink only.
 * `close` is called exactly once, on every path, after the last write.
 */
export interface Sink {
  write(event: StreamEvent): void | Promise<void>
  close(): Promise<void>
}

/** What happens to the stream when this sink breaks or its queue is full. */
export type SinkFailurePolicy = 'fail' | 'drop' | 'retry'

/** A ready-made sink with the policy and queue bound it was declared with. */
export interface AttachedSink {
  readonly sink: Sink
  /** Name shown in `stream_destinations`, such as `file_sink`. */
  readonly type: string
  readonly onError: SinkFailurePolicy
  /** Most events waiting for this sink before its policy applies. Default 10,000. */
  readonly maxQueuedEvents?: number
}

/** Per-sink account of one stream. `lost` counts events the sink never accepted. */
export interface SinkReport {
  readonly type: string
  readonly delivered: number
  readonly lost: number
  readonly error: string | null
}

/** Closed set of what can go wrong in one HTTP exchange. */
export type HttpErrorCode =
  | 'CONFIG_VALIDATION_ERROR'
  | 'PERMISSION_DENIED'
  | 'ADDRESS_DENIED'
  | 'CONNECTION_REFUSED'
  | 'CONNECTION_RESET'
  | 'DNS_FAILED'
  | 'TLS_FAILED'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'HTTP_STATUS'
  | '503_SERVICE_UNAVAILABLE'
  | 'RATE_LIMITED'
  | 'OVERLOADED'
  | 'STREAM_ERROR_EVENT'
  | 'STREAM_INCOMPLETE'
  | 'LIMIT_EXCEEDED'
  | 'INVALID_RESPONSE'
  | 'SINK_FAILED'

export interface HttpError {
  readonly code: HttpErrorCode
  readonly message: string
  readonly retryable: boolean
  /** Which timer ran out (`connect`, `first_byte`, `between_bytes`, `total`), which cap was hit, the status, … */
  readonly detail?: Readonly<Record<string, unknown>>
}

/** The result of `http_client`, the same shape for `sync` and `stream`, on success and on failure. */
export interface HttpResult {
  readonly success: boolean
  readonly status_code: number | null
  /** Parsed JSON when the response says JSON, else text; in stream mode the `return` buffer (array of `StreamEvent`) or null. */
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>
  readonly duration_ms: number
  readonly error: HttpError | null
  readonly stream_events_count: number
  readonly stream_destinations: readonly SinkReport[]
  /** Requests that were sent, 1 without a retry. */
  readonly attempts: number
}

/** An attempt that failed and will be repeated. */
export interface HttpRetry {
  /** The one that comes, from 2. */
  readonly attempt: number
  readonly waitMs: number
  readonly error: HttpError
}

/** What travels beside the configuration: never templated, never logged. */
export interface HttpExecution {
  readonly mode: 'sync' | 'stream'
  readonly signal?: AbortSignal
  /** Sinks already made by the caller; the client closes each exactly once. */
  readonly sinks?: readonly AttachedSink[]
  /** Told before each wait for another attempt. It must not throw. */
  readonly onRetry?: (retry: HttpRetry) => void
  /** Which hosts may be asked, checked before every attempt and every redirect. Absent: every host, as for the host's own calls. */
  readonly network?: NetworkGrant
  /** Asked again before every request of a call with a scoped `network`; false ends the call. */
  readonly isLive?: () => boolean
}
