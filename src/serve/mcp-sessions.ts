/**
 * The sessions of 2025-era clients: one server of the service for each, from `initialize` until DELETE, until nobody used it for long, or until
 * the server is closed.
 *
 * S1. A call counts from its arrival until it is answered, cancelled, or its session ends; not until its client hangs up, which in this era cancels nothing.
 * S2. A session is busy while a call runs or a stream is open. Only sessions that are not busy are ended for others.
 */
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import {
  isInitializeRequest,
  isJSONRPCErrorResponse,
  isJSONRPCResultResponse,
  type RequestId,
  type Server,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import type { McpServing } from '../mcp/contract.ts'
import type { CallLimit } from './call-limit.ts'
import { cancelledIdOf, requestIdsOf } from './json-rpc-body.ts'
import type { ServeLimits } from './limits.ts'
import type { Refusal } from './refusal.ts'

export interface McpSessions {
  /** One POST of this era, with its parsed body. */
  post(request: Request, body: unknown): Promise<Response | Refusal>
  /** GET (the stream of the session) and DELETE. `response` is what the answer will go to: while it is open, so is the stream. */
  other(request: Request, response: ServerResponse): Promise<Response | Refusal>
  close(): Promise<void>
}

interface Session {
  readonly server: Server
  readonly transport: WebStandardStreamableHTTPServerTransport
  /** Calls that have no answer yet (S1), with what ends their counting. */
  readonly calls: Map<RequestId, Call>
  /** GET and DELETE that are not finished. */
  streams: number
  usedAtMs: number
}

interface Call {
  readonly settle: () => void
  /** The stream that was opened for it carries nothing else. */
  readonly isAlone: boolean
}

export interface McpSessionsOptions {
  readonly serving: Pick<McpServing, 'factory'>
  readonly limits: ServeLimits
  readonly calls: CallLimit
  readonly onError: (error: Error) => void
}

export function createMcpSessions(options: McpSessionsOptions): McpSessions {
  const { limits } = options
  const sessions = new Set<Session>()
  const byId = new Map<string, Session>()
  const sweep = (): void => {
    for (const session of sessions) if (!isBusy(session) && idleMs(session) >= limits.sessionIdleMs) end(session, options)
  }
  const sweeping = setInterval(sweep, Math.min(30_000, Math.max(10, limits.sessionIdleMs / 4))).unref()
  const makeRoom = (): boolean => {
    if (sessions.size < limits.maxSessions) return true
    const [idlest] = [...sessions].filter((session) => !isBusy(session)).toSorted((a, b) => a.usedAtMs - b.usedAtMs)
    if (idlest === undefined || idleMs(idlest) < limits.sessionSpareMs) return false
    end(idlest, options)
    return true
  }
  const find = (request: Request): Session | Refusal => {
    const id = request.headers.get('mcp-session-id')
    if (id === null) return NO_SESSION_ID
    const session = byId.get(id)
    if (session === undefined) return UNKNOWN_SESSION
    session.usedAtMs = performance.now()
    return session
  }
  return {
    async post(request, body) {
      if (request.headers.has('mcp-session-id') || !isInitializeRequest(body)) {
        const session = find(request)
        return 'status' in session ? session : answer(session, { request, body, options })
      }
      if (!makeRoom()) return tooManySessions(limits)
      const session = await openSession(options, {
        opened: (opened) => sessions.add(opened),
        named: (id, named) => byId.set(id, named),
        closed(closed) {
          sessions.delete(closed)
          if (closed.transport.sessionId !== undefined) byId.delete(closed.transport.sessionId)
        },
      })
      const answered = await answer(session, { request, body, options })
      // The library found something wrong with the request, and nobody knows the name of this session.
      if (session.transport.sessionId === undefined) end(session, options)
      return answered
    },
    async other(request, response) {
      const session = find(request)
      if ('status' in session) return session
      session.streams += 1
      response.once('close', () => {
        session.streams -= 1
        session.usedAtMs = performance.now()
      })
      return session.transport.handleRequest(request)
    },
    async close() {
      clearInterval(sweeping)
      for (const session of sessions) end(session, options)
    },
  }
}

const NO_SESSION_ID: Refusal = { status: 400, message: 'The header Mcp-Session-Id is missing. Send initialize first.' }
const UNKNOWN_SESSION: Refusal = {
  status: 404,
  code: -32_001,
  message: 'There is no such session; it may have been idle for too long. Send initialize again.',
}

function tooManySessions({ maxSessions, sessionSpareMs }: ServeLimits): Refusal {
  return {
    status: 503,
    message: `All ${maxSessions} sessions are in use. Close one, or try again later.`,
    headers: { 'retry-after': String(Math.max(1, Math.ceil(sessionSpareMs / 1000))) },
  }
}

interface SessionEvents {
  readonly opened: (session: Session) => void
  readonly named: (id: string, session: Session) => void
  readonly closed: (session: Session) => void
}

async function openSession({ serving, onError }: McpSessionsOptions, events: SessionEvents): Promise<Session> {
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => events.named(id, session),
  })
  const server = serving.factory({ era: 'legacy' })
  const session: Session = { server, transport, calls: new Map(), streams: 0, usedAtMs: performance.now() }
  events.opened(session)
  // A transport is no EventTarget; the server that is connected to it calls on what it finds here.
  // oxlint-disable-next-line unicorn/prefer-add-event-listener
  transport.onerror = onError
  // oxlint-disable-next-line unicorn/prefer-add-event-listener
  transport.onclose = () => {
    for (const call of session.calls.values()) call.settle()
    events.closed(session)
  }
  const send = transport.send.bind(transport)
  transport.send = async (message, sending) => {
    if ((isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) && message.id !== undefined)
      settle(session, message.id)
    await send(message, sending)
  }
  try {
    await server.connect(transport)
  } catch (error) {
    events.closed(session)
    throw error
  }
  return session
}

async function answer(
  session: Session,
  { request, body, options }: { readonly request: Request; readonly body: unknown; readonly options: McpSessionsOptions },
): Promise<Response | Refusal> {
  const ids = requestIdsOf(body)
  if (new Set(ids).size < ids.length || ids.some((id) => session.calls.has(id)))
    return { status: 400, code: -32_600, message: 'A request with the same id is still running in this session.' }
  const give = options.calls.take(ids.length)
  if (give === null) return tooManyCalls(options.limits)
  let open = ids.length
  const settleOne = (): void => {
    open -= 1
    if (open === 0) give()
  }
  for (const id of ids) session.calls.set(id, { settle: settleOne, isAlone: ids.length === 1 })
  let isTaken = false
  let answered: Response
  try {
    answered = await session.transport.handleRequest(request, { parsedBody: body })
    isTaken = answered.ok
  } finally {
    // Nobody will answer what was refused, or broke.
    if (!isTaken) for (const id of ids) settle(session, id)
  }
  const cancelled = cancelledIdOf(body)
  if (cancelled !== undefined) {
    // Nothing more will come for it, and no client of ours would wait: but one that does would hold the stream for ever.
    if (session.calls.get(cancelled)?.isAlone === true) session.transport.closeSSEStream(cancelled)
    settle(session, cancelled)
  }
  return answered
}

export function tooManyCalls({ maxCalls }: ServeLimits): Refusal {
  return {
    status: 429,
    message: `${maxCalls} calls are running already. Try again when one has ended.`,
    headers: { 'retry-after': '1' },
  }
}

function settle(session: Session, id: RequestId): void {
  session.calls.get(id)?.settle()
  session.calls.delete(id)
  session.usedAtMs = performance.now()
}

function isBusy(session: Session): boolean {
  return session.calls.size > 0 || session.streams > 0
}

function idleMs(session: Session): number {
  return performance.now() - session.usedAtMs
}

function end(session: Session, { onError }: McpSessionsOptions): void {
  session.server.close().catch(onError)
}
