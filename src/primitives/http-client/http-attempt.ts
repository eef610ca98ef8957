import type { IncomingMessage } from 'node:http'
import { contentType, errorOfEnd, flattenHeaders, isJson, readWholeBody } from './answer.ts'
import type { AttemptContext, AttemptResult } from './attempt.ts'
import { readBody } from './body-source.ts'
import type { HttpRequest } from './config.ts'
import type { HttpError } from './contract.ts'
import { createSseConsumer } from './event-delivery.ts'
import type { SseConsumer } from './event-delivery.ts'
import { openExchange } from './exchange.ts'
import type { OutgoingRequest } from './exchange.ts'
import { cutFailure, describeRequest, failure, limitFailure } from './failure.ts'
import { nextHop } from './redirect.ts'
import { readRefusal } from './refusal.ts'
import { isIdempotent } from './retry.ts'

const MAX_UNEXPECTED_BODY_BYTES = 1024 * 1024

/** One HTTP exchange with its redirects: send, read the answer as the mode says. Never rejects. */
export async function runHttpAttempt(request: HttpRequest, context: AttemptContext): Promise<AttemptResult> {
  let outgoing: OutgoingRequest = {
    method: request.method,
    url: request.url,
    headers: { ...defaultHeaders(request.mode), ...request.headers },
    body: request.body,
    name: context.name,
  }
  let requests = 0
  let hops = 0
  let hasRepeated = false
  for (;;) {
    requests += 1
    const opened = await openExchange(outgoing, context)
    if (opened.kind === 'refused') return { ...NOT_SENT, error: opened.error, requests: requests - 1 }
    if (opened.kind === 'failed') {
      // A kept connection that the server had closed in the meantime: one repeat on a fresh one, where that is harmless.
      if (opened.stale && !hasRepeated && isIdempotent(outgoing.method, outgoing.headers)) {
        hasRepeated = true
        continue
      }
      return { ...NOT_SENT, error: opened.error, surelyNotActed: !opened.sent, requests }
    }
    const next = hops < request.maxRedirects ? nextHop(outgoing, opened.response) : null
    if (next === null) return { ...(await readAnswer(opened.response, request, context)), requests }
    opened.response.destroy()
    hops += 1
    outgoing = { ...next, name: describeRequest(next.method, next.url) }
  }
}

const NOT_SENT = { statusCode: null, headers: {}, body: null, surelyNotActed: true } as const

/** Streams are asked for unpacked: compression of small events buys little and delays them. */
function defaultHeaders(mode: 'sync' | 'stream'): Record<string, string> {
  const accept = mode === 'stream' ? 'text/event-stream' : 'application/json, */*;q=0.8'
  return { accept, 'accept-encoding': mode === 'stream' ? 'identity' : 'gzip, br, zstd, deflate', 'user-agent': 'kiwi-mcp' }
}

async function readAnswer(
  response: IncomingMessage,
  request: HttpRequest,
  context: AttemptContext,
): Promise<Omit<AttemptResult, 'requests'>> {
  const statusCode = response.statusCode ?? 0
  const head = { statusCode, headers: flattenHeaders(response), surelyNotActed: false }
  const { name, lifeline } = context
  const { maxResponseBytes } = request.limits
  if (statusCode < 200 || statusCode > 299) return readRefusal(response, maxResponseBytes, context)
  if (request.mode === 'sync')
    return { ...head, ...(await readWholeBody(response, { request: name, maxBytes: maxResponseBytes, lifeline })) }
  const type = contentType(response)
  if (isJson(type) || type.startsWith('text/html')) {
    const { body } = await readWholeBody(response, {
      request: name,
      maxBytes: Math.min(maxResponseBytes, MAX_UNEXPECTED_BODY_BYTES),
      lifeline,
    })
    const message = `${name}: expected a stream of events (text/event-stream), got ${type}. Check \`url\` and that the request asks for a stream.`
    return {
      ...head,
      body,
      error: lifeline.failure() ?? failure('INVALID_RESPONSE', message, { detail: { content_type: type } }),
    }
  }
  const consumer = createSseConsumer(context.delivery, request.limits.maxEventBytes)
  const end = await readBody(response, consumer, { maxBytes: maxResponseBytes, lifeline })
  const cause = errorOfEnd(end, { request: name, maxBytes: maxResponseBytes, lifeline, mode: 'stream' })
  const error = streamError(cause, consumer, request, context)
  return { ...head, body: null, error, surelyNotActed: context.delivery.wasHeldBack() }
}

/**
 * The first of: why reading stopped, the provider's own error, bytes that never became an event.
 *
 * A stream whose transport ended in order is whole here, with or without the provider's end marker: whether its events make a finished turn is for
 * whoever folds them to say. Only an event that was begun and never ended is known to be lost.
 */
function streamError(
  cause: HttpError | null,
  consumer: SseConsumer,
  request: HttpRequest,
  context: AttemptContext,
): HttpError | null {
  const { name, delivery, lifeline } = context
  if (consumer.overEventLimit()) return limitFailure(name, 'max_event_bytes', request.limits.maxEventBytes)
  const { unfinishedEvent, endMarkerSeen } = consumer.finish()
  const told = delivery.error()
  if (told !== null) return lifeline.failure() ?? told
  // Servers that hang up right after the end marker have said everything.
  if (cause?.code === 'STREAM_INCOMPLETE' && endMarkerSeen) return null
  if (cause === null && unfinishedEvent && !endMarkerSeen)
    return cutFailure(name, 'stream', { reason: 'the last event has no end' })
  return cause
}
