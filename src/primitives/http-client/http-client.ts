import type { Lookup } from '../network/lookup.ts'
import type { Grant } from '../sandbox/contract.ts'
import type { AttemptContext, AttemptResult } from './attempt.ts'
import { parseConfig } from './config.ts'
import type { HttpRequest } from './config.ts'
import type { ConfigIssue } from './config-reader.ts'
import type { AttachedSink, HttpError, HttpExecution, HttpResult, HttpRetry, SinkReport, StreamEvent } from './contract.ts'
import { createEventDelivery } from './event-delivery.ts'
import { createConnectionPool } from './exchange.ts'
import type { ConnectionPool } from './exchange.ts'
import { abortFailure, describeRequest, failure } from './failure.ts'
import { createFanOut } from './fan-out.ts'
import type { FanOut } from './fan-out.ts'
import { runHttpAttempt } from './http-attempt.ts'
import { createLifeline } from './lifeline.ts'
import type { Lifeline } from './lifeline.ts'
import { createReturnBuffer } from './return-buffer.ts'
import { createNetworkGuard } from './network-guard.ts'
import { isIdempotent, nextAttemptDelay, readRetryAfterMs, waitFor } from './retry.ts'
import { runWebSocketAttempt } from './websocket-attempt.ts'

export interface HttpClientOptions {
  /** Reuse connections between calls. Default true. */
  readonly keepAlive?: boolean
  /** Bounds, separately, the drain of a sink's queue and its close. Default 5,000. */
  readonly sinkCloseTimeoutMs?: number
  /** In [0, 1): spreads retries. */
  readonly random?: () => number
  /** UTC milliseconds, for `Retry-After` dates. */
  readonly now?: () => number
  /** How names are looked up for calls whose `network` is scoped. Default: the system's resolver. */
  readonly lookup?: Lookup
}

/** A client that owns its connections and nothing else: calls share no state. */
export interface HttpClient {
  /** Never rejects: every outcome, a wrong configuration included, is a result. Every sink of the execution is closed exactly once. */
  execute(config: unknown, execution: HttpExecution): Promise<HttpResult>
  /** Closes the connections that are kept. Running calls are cut. */
  close(): void
}

/** A client with kept connections; close it when it is no longer used. */
export function createHttpClient(options: HttpClientOptions = {}): HttpClient {
  const pool = createConnectionPool(options.keepAlive ?? true)
  // Connections of guarded calls are never kept: none can be used by a call for which it was not checked.
  const guardedPool = createConnectionPool(false)
  const resolved = {
    pool,
    guardedPool,
    lookup: options.lookup,
    sinkCloseTimeoutMs: options.sinkCloseTimeoutMs ?? 5000,
    random: options.random ?? Math.random,
    now: options.now ?? Date.now,
  }
  return {
    execute: (config, execution) => runCall(config, execution, resolved),
    close() {
      for (const agent of [pool.http, pool.https, guardedPool.http, guardedPool.https]) agent.destroy()
    },
  }
}

/** One call on connections of its own. See `HttpClient.execute`; the configuration is described by `config_schema` of the `http_client` tool. */
export async function executeHttp(config: unknown, execution: HttpExecution): Promise<HttpResult> {
  const client = createHttpClient({ keepAlive: false })
  try {
    return await client.execute(config, execution)
  } finally {
    client.close()
  }
}

/** The part of a primitive's call that HTTP needs; the router's own type has more. */
export interface HttpPrimitiveCall {
  readonly config: Readonly<Record<string, unknown>>
  readonly context: {
    readonly signal?: AbortSignal
    readonly __on_retry?: (retry: HttpRetry) => void
    /** Absent for the host's own calls: nothing is guarded then. */
    readonly __grant?: Pick<Grant, 'network' | 'isLive'>
  }
  readonly sinks: readonly AttachedSink[]
}

export interface HttpPrimitive {
  readonly id: 'http_client'
  execute(call: HttpPrimitiveCall): Promise<{ readonly value: HttpResult; readonly error: HttpError | null }>
  /** Closes the kept connections. */
  close(): void
}

/** The HTTP client as the end of a tool chain. `config.mode` (default `sync`) says how the answer is read. */
export function createHttpPrimitive(options: HttpClientOptions = {}): HttpPrimitive {
  const client = createHttpClient(options)
  return {
    id: 'http_client',
    async execute({ config, context, sinks }) {
      // A wrong mode is passed on as it is: the client answers with the error that names the field, and closes the sinks.
      const mode = (config['mode'] ?? 'sync') as 'sync' | 'stream'
      const value = await client.execute(config, {
        mode,
        sinks,
        ...(context.signal === undefined ? {} : { signal: context.signal }),
        ...(context.__on_retry === undefined ? {} : { onRetry: context.__on_retry }),
        ...(context.__grant === undefined ? {} : { network: context.__grant.network, isLive: context.__grant.isLive }),
      })
      return { value, error: value.error }
    },
    close: () => client.close(),
  }
}

interface ClientParts {
  readonly pool: ConnectionPool
  readonly guardedPool: ConnectionPool
  readonly lookup: Lookup | undefined
  readonly sinkCloseTimeoutMs: number
  readonly random: () => number
  readonly now: () => number
}

async function runCall(config: unknown, execution: HttpExecution, parts: ClientParts): Promise<HttpResult> {
  const startedMs = performance.now()
  const parsed = parseConfig(config, execution.mode)
  const request = parsed.kind === 'valid' ? parsed.request : null
  const kept = request?.mode === 'stream' && request.returnBuffer !== null ? createReturnBuffer(request.returnBuffer) : null
  const sinks: readonly AttachedSink[] = [...(execution.sinks ?? []), ...(kept === null ? [] : [kept.attached])]
  let lifeline: Lifeline | null = null
  const fanOut = createFanOut(sinks, {
    closeTimeoutMs: parts.sinkCloseTimeoutMs,
    onBroken: () => lifeline?.cut(sinkFailure(fanOut)),
  })
  const outcome =
    parsed.kind === 'valid'
      ? await runAttempts(parsed.request, {
          parts,
          fanOut,
          startedMs,
          execution,
          onAttempt: (current) => (lifeline = current),
        })
      : { ...NOTHING, error: configFailure(parsed.issues) }
  const reports = await fanOut.close()
  const error = outcome.error ?? (fanOut.broken() === null ? null : sinkFailure(fanOut))
  return toResult({ ...outcome, error, body: outcome.body ?? kept?.events() ?? null }, reports, performance.now() - startedMs)
}

interface CallOutcome extends Omit<AttemptResult, 'surelyNotActed'> {
  readonly events: number
}

const NOTHING: CallOutcome = { statusCode: null, headers: {}, body: null, error: null, requests: 0, events: 0 }

interface Call {
  readonly parts: ClientParts
  readonly fanOut: FanOut
  readonly startedMs: number
  readonly execution: HttpExecution
  /** Told the lifeline of each attempt, so that a broken sink can cut the one that runs. */
  readonly onAttempt: (lifeline: Lifeline) => void
}

async function runAttempts(request: HttpRequest, call: Call): Promise<CallOutcome> {
  const { parts, execution } = call
  const { signal } = execution
  const name = describeRequest(request.method, request.url)
  const deadlineMs = call.startedMs + request.timeouts.totalMs
  const idempotent = isIdempotent(request.method, request.headers)
  const write = (event: StreamEvent): void => call.fanOut.write(event)
  const guard = createNetworkGuard(execution.network, {
    isLive: execution.isLive,
    lookup: parts.lookup,
    timeoutMs: request.timeouts.connectMs,
  })
  const pool = guard === null ? parts.pool : parts.guardedPool
  let requests = 0
  for (let attempt = 1; ; attempt += 1) {
    if (signal?.aborted === true) return { ...NOTHING, requests, error: abortFailure(name) }
    const delivery = createEventDelivery(
      { request: name, maxEvents: request.limits.maxEvents, write },
      mayRepeatRefusal(request, attempt),
    )
    const result = await runAttempt(request, { name, delivery, pool, guard }, { deadlineMs, call })
    requests += result.requests
    const outcome = { ...result, requests, events: delivery.count() }
    if (result.error === null) return outcome
    const retryAfterMs = readRetryAfterMs(result.headers, parts.now())
    const error = withRetryAfter(result.error, retryAfterMs)
    const facts = { ...result, error, hasEmitted: delivery.count() > 0, retryAfterMs }
    const waitMs = nextAttemptDelay(facts, attempt, request.retry, { idempotent, random: parts.random })
    // A wait that ends after the deadline would only turn a telling error into a timeout.
    if (waitMs === null || performance.now() + waitMs >= deadlineMs) return { ...outcome, error }
    execution.onRetry?.({ attempt: attempt + 1, waitMs, error })
    if (!(await waitFor(waitMs, signal))) return { ...outcome, error: abortFailure(name) }
  }
}

/** Whether a refusal told as the first event can be followed by another attempt; only then is it kept from the sinks. */
function mayRepeatRefusal(request: HttpRequest, attempt: number): boolean {
  const { maxAttempts, retryableErrors } = request.retry
  return attempt < maxAttempts && (retryableErrors === null || retryableErrors.includes('STREAM_ERROR_EVENT'))
}

async function runAttempt(
  request: HttpRequest,
  context: Omit<AttemptContext, 'lifeline'>,
  { deadlineMs, call }: { readonly deadlineMs: number; readonly call: Call },
): Promise<AttemptResult> {
  const lifeline = createLifeline({
    request: context.name,
    timeouts: request.timeouts,
    deadlineMs,
    signal: call.execution.signal,
  })
  call.onAttempt(lifeline)
  const attempt: AttemptContext = { ...context, lifeline }
  try {
    const isWebSocket = request.mode === 'stream' && request.transport === 'websocket'
    return await (isWebSocket ? runWebSocketAttempt(request, attempt) : runHttpAttempt(request, attempt))
  } finally {
    lifeline.end()
  }
}

function withRetryAfter(error: HttpError, retryAfterMs: number | null): HttpError {
  return retryAfterMs === null ? error : { ...error, detail: { ...error.detail, retry_after_ms: retryAfterMs } }
}

function configFailure(issues: readonly ConfigIssue[]): HttpError {
  const text = issues.map(({ field, error }) => `\`${field}\` ${error}`).join('; ')
  return failure('CONFIG_VALIDATION_ERROR', `The HTTP configuration is wrong, nothing was sent: ${text}.`, {
    detail: { validation_errors: issues },
  })
}

function sinkFailure(fanOut: FanOut): HttpError {
  const { type, reason } = fanOut.broken() ?? { type: 'unknown', reason: 'unknown' }
  const message = `The sink \`${type}\` failed: ${reason}. Its policy is \`on_error: fail\`; \`drop\` or \`retry\` would let the stream go on.`
  return failure('SINK_FAILED', message, { detail: { sink: type, reason } })
}

function toResult(outcome: CallOutcome, reports: readonly SinkReport[], durationMs: number): HttpResult {
  return {
    success: outcome.error === null,
    status_code: outcome.statusCode,
    body: outcome.body,
    headers: outcome.headers,
    duration_ms: Math.round(durationMs),
    error: outcome.error,
    stream_events_count: outcome.events,
    stream_destinations: reports,
    attempts: outcome.requests,
  }
}
