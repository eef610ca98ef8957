/**
 * Between the HTTP transport of the SDK and the network: every message of an answer passes the frame guard before the SDK sees a byte of it.
 *
 * C1. An answer's body is either bounded and whole, or a stream of bounded events.
 * C2. A request whose answer cannot come any more fails at once: the SDK would wait for its timeout.
 * C3. A connection is closed when its request was answered or given up, whatever its server would like.
 */
import { createSseParser } from '../../primitives/http-client/sse.ts'
import type { FrameGuard, RequestId } from './frame-guard.ts'

export type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>

export interface CheckedFetchOptions {
  readonly fetch: Fetch
  readonly guard: FrameGuard
  readonly maxMessageBytes: number
  /** For what nobody waits for with a timeout of its own: notifications and the end of a session. */
  readonly sideTimeoutMs: number
  /** C2 */
  readonly onLost: (id: RequestId, cause: unknown) => void
}

export interface CheckedFetch {
  readonly fetch: Fetch
  /** Closes the connection of a request that was given up. */
  giveUp(id: RequestId): void
}

const MAX_ERROR_BODY_BYTES = 64 * 1024
/** Most streams of one server at one time; one that opens more for nothing is flooding. */
const MAX_STREAMS = 64
/** Most of them that are left open after their answer, for the server to close. */
const MAX_ANSWERED_STREAMS = 4

export function createCheckedFetch(options: CheckedFetchOptions): CheckedFetch {
  const { guard } = options
  const running = new Map<RequestId, AbortController>()
  const answered = new Set<() => void>()
  let streams = 0

  async function ask(url: string | URL, init: RequestInit, exchange: Exchange): Promise<Response> {
    const response = await options.fetch(url, { ...init, signal: exchange.controller.signal })
    const type = (response.headers.get('content-type') ?? '').toLowerCase()
    if (!response.ok) {
      // A redirect may be followed with the same requests.
      const mayContinue = response.status >= 300 && response.status < 400
      const { text } = await readText(response, MAX_ERROR_BODY_BYTES)
      exchange.end(undefined, mayContinue)
      return bodyless(response) ?? new Response(text, response)
    }
    if (type.startsWith('text/event-stream') && response.body !== null) {
      for (const close of [...answered].slice(0, Math.max(0, answered.size - MAX_ANSWERED_STREAMS))) close()
      if (streams >= MAX_STREAMS) guard.violate('flood', `kept more than ${MAX_STREAMS} streams open`)
      streams += 1
      const onEnd = (cause: unknown, mayResume: boolean): void => {
        streams -= 1
        exchange.end(cause, mayResume)
      }
      return new Response(checkedEvents(response.body, { ...options, exchange, onEnd, answered }), response)
    }
    if (type.includes('json')) {
      const { text, isWhole } = await readText(response, options.maxMessageBytes)
      if (!isWhole) guard.violate('message_too_long', `sent a message of more than ${options.maxMessageBytes} bytes`)
      const messages = isWhole && text !== '' ? guard.messages(text) : []
      exchange.end()
      return bodyless(response) ?? new Response(JSON.stringify(messages), response)
    }
    const { text } = await readText(response, MAX_ERROR_BODY_BYTES)
    exchange.end()
    return bodyless(response) ?? new Response(text, response)
  }

  return {
    async fetch(url, init = {}) {
      const ids = requestIds(init)
      const isResumption = new Headers(init.headers).has('last-event-id')
      // Nobody waits any more for what the stream would bring.
      if (isResumption && guard.pendingCount() === 0) return new Response(null, { status: 405 })
      const exchange = createExchange(ids, init, { ...options, running })
      try {
        return await ask(url, init, exchange)
      } catch (error) {
        exchange.end()
        throw error
      }
    },
    giveUp: (id) => running.get(id)?.abort(),
  }
}

/** Such an answer cannot be made with a body, not even an empty one. */
function bodyless(response: Response): Response | null {
  return [204, 205, 304].includes(response.status) ? new Response(null, response) : null
}

/** One HTTP request, with the JSON-RPC requests in it. */
interface Exchange {
  readonly controller: AbortController
  readonly ids: readonly RequestId[]
  readonly isAnswered: () => boolean
  /** Idempotent. Requests that are still unanswered are lost, unless the stream may be taken up again. */
  end(cause?: unknown, mayResume?: boolean): void
}

function createExchange(
  ids: readonly RequestId[],
  init: RequestInit,
  options: CheckedFetchOptions & { readonly running: Map<RequestId, AbortController> },
): Exchange {
  const { guard, running } = options
  const controller = new AbortController()
  const outer = init.signal ?? null
  const onOuterAbort = (): void => {
    for (const id of ids) guard.giveUp(id)
    controller.abort(outer?.reason)
  }
  if (outer?.aborted === true) onOuterAbort()
  else outer?.addEventListener('abort', onOuterAbort, { once: true })
  const isSide = ids.length === 0 && (init.method ?? 'GET') !== 'GET'
  const timer = isSide
    ? setTimeout(() => controller.abort(new Error('The server did not answer in time.')), options.sideTimeoutMs)
    : undefined
  for (const id of ids) running.set(id, controller)
  let isOver = false
  return {
    controller,
    ids,
    isAnswered: () => ids.length > 0 && ids.every((id) => !guard.isPending(id)),
    end(cause, mayResume = false) {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      outer?.removeEventListener('abort', onOuterAbort)
      for (const id of ids) {
        running.delete(id)
        if (mayResume || !guard.isPending(id)) continue
        // The SDK tells its own caller of an exchange that failed as a whole; then this is only tidying up.
        guard.giveUp(id)
        if (cause !== undefined && !controller.signal.aborted) options.onLost(id, cause)
      }
    },
  }
}

function requestIds({ body }: RequestInit): readonly RequestId[] {
  if (typeof body !== 'string') return []
  // The SDK wrote it.
  const message = JSON.parse(body) as { readonly id?: RequestId; readonly method?: string }
  return message.id !== undefined && message.method !== undefined ? [message.id] : []
}

/** At most `maxBytes` of a body; the rest is never read. */
async function readText(response: Response, maxBytes: number): Promise<{ readonly text: string; readonly isWhole: boolean }> {
  if (response.body === null) return { text: '', isWhole: true }
  const chunks: Uint8Array[] = []
  let room = maxBytes
  for await (const chunk of response.body) {
    chunks.push(chunk.subarray(0, room))
    room -= chunk.length
    if (room < 0) return { text: Buffer.concat(chunks).toString('utf8'), isWhole: false }
  }
  return { text: Buffer.concat(chunks).toString('utf8'), isWhole: true }
}

interface EventOptions extends CheckedFetchOptions {
  readonly exchange: Exchange
  readonly onEnd: (cause: unknown, mayResume: boolean) => void
  /** What closes the streams whose answer has come. */
  readonly answered: Set<() => void>
}

/** How long a stream may stay open after its request was answered. */
const AFTER_ANSWER_MS = 1_000
const MAX_EVENT_ID = 1_024
const COMMENT_BYTES = 64 * 1024

/** The same events, each with one checked message or none. */
function checkedEvents(body: ReadableStream<Uint8Array>, options: EventOptions): ReadableStream<Uint8Array> {
  const { guard, exchange, maxMessageBytes } = options
  const reader = body.getReader()
  const ready: Uint8Array[] = []
  let mayResume = false
  let bytesSinceEvent = 0
  let answeredTimer: NodeJS.Timeout | undefined
  const parser = createSseParser({
    maxEventBytes: maxMessageBytes + 1_024,
    onEvent({ event, data, id }) {
      bytesSinceEvent = 0
      if (id !== '' && id.length <= MAX_EVENT_ID) mayResume = true
      const message = event === 'message' && data !== '' ? guard.message(data) : null
      if (message === null) guard.noise(1, data.length)
      if (message === null && id === '') return
      const name = id === '' || id.length > MAX_EVENT_ID ? '' : `id: ${id}\n`
      ready.push(Buffer.from(`${name}data: ${message === null ? '' : JSON.stringify(message)}\n\n`))
    },
  })

  function take(chunk: Uint8Array): void {
    bytesSinceEvent += chunk.length
    // No event is that long: these are comments.
    if (bytesSinceEvent > maxMessageBytes + COMMENT_BYTES) {
      guard.noise(1, bytesSinceEvent)
      bytesSinceEvent = 0
    }
    parser.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length))
    for (let state = parser.drain(MAX_EVENTS_AT_ONCE); state !== 'done'; state = parser.drain(MAX_EVENTS_AT_ONCE)) {
      if (state === 'more') continue
      guard.violate('message_too_long', `sent an event of more than ${maxMessageBytes} bytes`)
      break
    }
    // C3
    if (!exchange.isAnswered()) return
    options.answered.add(closeAnswered)
    answeredTimer ??= setTimeout(closeAnswered, AFTER_ANSWER_MS)
  }
  const closeAnswered = (): void => {
    options.answered.delete(closeAnswered)
    void reader.cancel().catch(() => undefined)
  }

  let isOver = false
  /** Once: a stream that is cancelled while somebody reads comes here by `cancel` and by `pull`. */
  const end = (cause: unknown): void => {
    if (isOver) return
    isOver = true
    clearTimeout(answeredTimer)
    options.answered.delete(closeAnswered)
    options.onEnd(cause, mayResume)
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          while (ready.length === 0) {
            // oxlint-disable-next-line no-await-in-loop -- one piece after the other
            const { value, done } = await reader.read()
            if (done) {
              end(new Error('The server ended the stream without an answer.'))
              controller.close()
              return
            }
            take(value)
          }
          for (const event of ready.splice(0)) controller.enqueue(event)
        } catch (error) {
          end(error)
          controller.error(error)
        }
      },
      async cancel(reason) {
        end(undefined)
        await reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}

const MAX_EVENTS_AT_ONCE = 256
