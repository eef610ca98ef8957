import type { IncomingMessage } from 'node:http'
import type { RawData, WebSocket } from 'ws'
import type { AttemptContext, AttemptResult } from './attempt.ts'
import type { HttpRequest } from './config.ts'
import type { HttpError } from './contract.ts'
import { cutFailure, failure, limitFailure, networkFailure } from './failure.ts'
import { readRefusal } from './refusal.ts'

const END_MARKER = '[DONE]'
/** Closed on purpose: normal, or without any code. */
const CLEAN_CLOSE_CODES: ReadonlySet<number> = new Set([1000, 1005])
/** Work in one go before other events of the process get their turn. */
const SLICE_MS = 10

/**
 * A stream over a WebSocket: every text message is an event named `message`, a binary one an event named `binary` with base64 data. A body goes out as
 * the first message. The connect timer covers the whole handshake. Never rejects.
 */
export async function runWebSocketAttempt(request: HttpRequest, context: AttemptContext): Promise<AttemptResult> {
  // Loaded on first use: most processes never open one.
  const { WebSocket: Socket } = await import('ws')
  const { lifeline } = context
  const url = new URL(request.url)
  url.protocol = url.protocol.replace('http', 'ws')
  const { 'sec-websocket-protocol': protocols, ...headers } = request.headers
  lifeline.watch('connect')
  const admission = await context.guard?.admit(url, 'websocket', context)
  if (admission?.kind === 'refused')
    return { statusCode: null, headers: {}, body: null, error: admission.error, surelyNotActed: true, requests: 0 }
  const socket = new Socket(url, protocols?.split(',').map((name) => name.trim()) ?? [], {
    ...(admission === undefined ? {} : { lookup: admission.lookup }),
    headers: { 'user-agent': 'kiwi-mcp', ...headers },
    maxPayload: request.limits.maxEventBytes,
    // Unfolding compressed messages would need its own cap; not offering it is simpler.
    perMessageDeflate: false,
    followRedirects: false,
  })
  const outcome = await watchSocket(socket, request, context)
  if (outcome.kind === 'refused')
    return { ...(await readRefusal(outcome.response, request.limits.maxResponseBytes, context)), requests: 1 }
  const { isOpen, error } = outcome
  const statusCode = isOpen ? 101 : null
  return {
    statusCode,
    headers: outcome.headers,
    body: null,
    error,
    surelyNotActed: !isOpen || context.delivery.wasHeldBack(),
    requests: 1,
  }
}

type SocketOutcome =
  | { readonly kind: 'refused'; readonly response: IncomingMessage }
  | {
      readonly kind: 'ended'
      readonly isOpen: boolean
      readonly headers: Record<string, string>
      readonly error: HttpError | null
    }

function watchSocket(socket: WebSocket, request: HttpRequest, context: AttemptContext): Promise<SocketOutcome> {
  const { lifeline, name } = context
  return new Promise((resolve) => {
    let isOpen = false
    let headers: Record<string, string> = {}
    let socketError: Error | null = null
    const reader = createMessageReader(socket, request, context)
    lifeline.onCut(() => socket.terminate())
    socket.on('upgrade', (response) => {
      headers = Object.fromEntries(Object.entries(response.headers).map(([key, value]) => [key, String(value)]))
    })
    socket.on('unexpected-response', (_request, response) => {
      lifeline.watch('first_byte')
      resolve({ kind: 'refused', response })
    })
    socket.on('open', () => {
      isOpen = true
      lifeline.watch('first_byte')
      if (request.body !== null) socket.send(request.body)
    })
    socket.on('ping', () => lifeline.life())
    socket.on('pong', () => lifeline.life())
    socket.on('message', (payload, isBinary) => reader.take(payload, isBinary))
    socket.on('error', (error) => {
      socketError ??= error
    })
    // Always the last event, also after `error`.
    socket.on('close', (code, reason) => {
      const cause =
        lifeline.failure() ??
        reader.error() ??
        closeError({ name, isOpen, socketError, code, reason: reason.toString('utf8') }, request)
      const isWhole = cause?.code === 'STREAM_INCOMPLETE' && reader.endMarkerSeen()
      resolve({ kind: 'ended', isOpen, headers, error: isWhole ? null : cause })
    })
  })
}

/** Passes messages on within the caps, and lets other events of the process in between. */
function createMessageReader(socket: WebSocket, request: HttpRequest, context: AttemptContext) {
  const { lifeline, delivery, name } = context
  const { maxResponseBytes } = request.limits
  let receivedBytes = 0
  let busyMs = 0
  let limitError: HttpError | null = null
  let endMarkerSeen = false
  let isStopped = false

  const yieldToProcess = (): void => {
    busyMs = 0
    socket.pause()
    setImmediate(() => socket.resume())
  }

  return {
    error: (): HttpError | null => limitError ?? delivery.error(),
    endMarkerSeen: (): boolean => endMarkerSeen,
    take(payload: RawData, isBinary: boolean): void {
      if (isStopped || lifeline.failure() !== null) return
      const startedMs = performance.now()
      if (receivedBytes === 0) lifeline.watch('between_bytes')
      else lifeline.life()
      const bytes = toBuffer(payload)
      receivedBytes += bytes.length
      if (receivedBytes > maxResponseBytes) limitError = limitFailure(name, 'max_response_bytes', maxResponseBytes)
      const data = bytes.toString(isBinary ? 'base64' : 'utf8')
      if (data === END_MARKER) endMarkerSeen = true
      else if (
        limitError !== null ||
        delivery.deliver({ event: isBinary ? 'binary' : 'message', data, id: '' }, data.includes('"error"')) === 'stop'
      ) {
        isStopped = true
        socket.terminate()
        return
      }
      busyMs += performance.now() - startedMs
      if (busyMs > SLICE_MS) yieldToProcess()
    },
  }
}

function toBuffer(payload: RawData): Buffer {
  if (Array.isArray(payload)) return Buffer.concat(payload)
  return payload instanceof ArrayBuffer ? Buffer.from(payload) : payload
}

interface Close {
  readonly name: string
  readonly isOpen: boolean
  readonly socketError: Error | null
  readonly code: number
  readonly reason: string
}

function closeError({ name, isOpen, socketError, code, reason }: Close, request: HttpRequest): HttpError | null {
  const errorCode = socketError !== null && 'code' in socketError ? String(socketError.code) : ''
  if (errorCode === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
    return limitFailure(name, 'max_event_bytes', request.limits.maxEventBytes)
  if (errorCode.startsWith('WS_ERR_'))
    return failure('INVALID_RESPONSE', `${name}: the WebSocket peer broke the protocol: ${socketError?.message}.`)
  if (!isOpen) return networkFailure(name, socketError ?? new Error('closed before the handshake was done'))
  if (socketError === null && CLEAN_CLOSE_CODES.has(code)) return null
  return cutFailure(name, 'stream', { close_code: code, close_reason: reason })
}
