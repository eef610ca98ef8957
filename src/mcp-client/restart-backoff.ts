import { McpFailure } from './contract.ts'

/** Which servers failed lately, and how long each is left alone. */
export interface RestartBackoff {
  /** Null when it may be tried. */
  standing(key: string): { readonly failure: McpFailure; readonly waitMs: number } | null
  /** A server that could not be reached, or that ended by itself after `livedMs`. Failures that are not the server's own count nothing. */
  failed(key: string, failure: McpFailure, livedMs?: number): void
  ended(key: string): void
}

interface FailureRecord {
  readonly failures: number
  readonly untilMs: number
  readonly failure: McpFailure
}

const FIRST_MS = 500
const MAX_MS = 30_000
/** A server that lived for so long is not one that ends whenever it is started. */
const STEADY_MS = 30_000
const MAX_RECORDS = 256
const COUNTED: ReadonlySet<McpFailure['code']> = new Set([
  'MCP_CONNECTION_FAILED',
  'MCP_PROTOCOL_VIOLATION',
  'MCP_SERVER_ENDED',
  'TIMEOUT',
])

/** Half a second after the first failure in a row, then twice as long each time, 30 s at most. */
export function createRestartBackoff(nowMs: () => number): RestartBackoff {
  const records = new Map<string, FailureRecord>()
  return {
    standing(key) {
      const record = records.get(key)
      const waitMs = record === undefined ? 0 : Math.ceil(record.untilMs - nowMs())
      return record === undefined || waitMs <= 0 ? null : { failure: record.failure, waitMs }
    },
    failed(key, failure, livedMs = 0) {
      if (!COUNTED.has(failure.code)) return
      const before = livedMs >= STEADY_MS ? 0 : (records.get(key)?.failures ?? 0)
      // In the order of their last failure: the first is the one that has been left alone for longest.
      records.delete(key)
      const oldest = records.size < MAX_RECORDS ? undefined : records.keys().next().value
      if (oldest !== undefined) records.delete(oldest)
      const waitMs = Math.min(FIRST_MS * 2 ** before, MAX_MS)
      records.set(key, { failures: before + 1, untilMs: nowMs() + waitMs, failure })
    },
    ended: (key) => void records.delete(key),
  }
}

/** The last failure again, for a caller who does not wait so long. Nothing was sent. */
export function stillBackingOff({ failure, waitMs }: { readonly failure: McpFailure; readonly waitMs: number }): McpFailure {
  return new McpFailure(failure.code, `${failure.message} It is tried again in ${waitMs} ms at the earliest.`, {
    retryable: failure.retryable,
    detail: { ...failure.detail, retry_after_ms: waitMs },
    ...(failure.suggestion === undefined ? {} : { suggestion: failure.suggestion }),
    cause: failure,
  })
}
