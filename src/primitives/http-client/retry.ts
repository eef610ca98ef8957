import type { RetryPolicy } from './config.ts'
import type { HttpError } from './contract.ts'

/** What one attempt left behind, as far as repeating it is concerned. */
export interface AttemptFacts {
  readonly error: HttpError
  readonly statusCode: number | null
  /** An event of the answer reached the sinks. */
  readonly hasEmitted: boolean
  /** The server surely did not act: nothing was sent, or it refused by status or by a first event. */
  readonly surelyNotActed: boolean
  readonly retryAfterMs: number | null
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])

/** Whether a repeat of an unknown outcome is harmless: by method, or because the server is told to deduplicate. */
export function isIdempotent(method: string, headers: Readonly<Record<string, string>>): boolean {
  return IDEMPOTENT.has(method) || headers['idempotency-key'] !== undefined
}

/**
 * Milliseconds to wait before the next attempt, or null when there must be none.
 *
 * `Retry-After` wins over a shorter backoff, shortened to the policy's cap. Up to a quarter is added at random, so that many callers that were
 * refused together do not return together; pure given `random` in [0, 1).
 */
export function nextAttemptDelay(
  facts: AttemptFacts,
  attempt: number,
  policy: RetryPolicy,
  context: { idempotent: boolean; random: () => number },
): number | null {
  if (attempt >= policy.maxAttempts || facts.hasEmitted || !facts.error.retryable) return null
  if (!facts.surelyNotActed && !context.idempotent) return null
  if (!isListed(facts, policy)) return null
  const backoffMs = policy.backoffMs[Math.min(attempt, policy.backoffMs.length) - 1] ?? 0
  const waitMs = Math.max(backoffMs, Math.min(facts.retryAfterMs ?? 0, policy.maxRetryAfterMs))
  return Math.round(waitMs * (1 + context.random() / 4))
}

/** `retryable_errors` names codes or statuses; absent, everything retryable is meant. */
function isListed({ error, statusCode }: AttemptFacts, { retryableErrors }: RetryPolicy): boolean {
  return (
    retryableErrors === null ||
    retryableErrors.includes(error.code) ||
    (statusCode !== null && retryableErrors.includes(String(statusCode)))
  )
}

/** `retry-after-ms`, or `Retry-After` in seconds or as a date; null when absent, unreadable or negative. */
export function readRetryAfterMs(headers: Readonly<Record<string, string>>, nowMs: number): number | null {
  const exact = Number(headers['retry-after-ms'] ?? Number.NaN)
  if (Number.isFinite(exact) && exact >= 0) return exact
  const text = headers['retry-after']?.trim() ?? ''
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000
  const dateMs = text === '' ? Number.NaN : Date.parse(text)
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - nowMs)
}

/** Waits, or ends early with false when the signal fires. */
export function waitFor(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve(false)
      return
    }
    const onAbort = (): void => {
      clearTimeout(timer)
      resolve(false)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve(true)
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
