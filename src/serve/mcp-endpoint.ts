import type { IncomingMessage, ServerResponse } from 'node:http'
import { createMcpHandler, isJsonContentType, isLegacyRequest } from '@modelcontextprotocol/server'
import type { McpServing } from '../mcp/contract.ts'
import { createCallLimit } from './call-limit.ts'
import { methodOf, requestIdsOf } from './json-rpc-body.ts'
import type { ServeLimits } from './limits.ts'
import { createMcpSessions, tooManyCalls } from './mcp-sessions.ts'
import { refuse, type Refusal } from './refusal.ts'
import { readJsonBody } from './request-body.ts'
import { createWatchingBus } from './watching-bus.ts'
import { withinMs } from './within.ts'
import { sendWebResponse, toWebRequest } from './web-exchange.ts'

export interface McpEndpointOptions {
  readonly serving: Pick<McpServing, 'factory' | 'onResourceUpdated' | 'onResourceListChanged'>
  readonly limits: ServeLimits
  readonly onError: (error: Error) => void
}

export interface McpEndpoint {
  /** Answers one request that was let in. Never rejects. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
  /** Waits for running calls as long as the limits say, then aborts them, and ends every session and stream. */
  close(): Promise<void>
}

/** Streamable HTTP in both eras: 2026-07-28 one request at a time, and before that in sessions, where calls can be cancelled. */
export function createMcpEndpoint(options: McpEndpointOptions): McpEndpoint {
  const { serving, limits, onError } = options
  const calls = createCallLimit(limits.maxCalls)
  const sessions = createMcpSessions({ serving, limits, calls, onError })
  const modern = createMcpHandler(serving.factory, {
    legacy: 'reject',
    bus: createWatchingBus(serving, onError),
    maxSubscriptions: limits.maxSessions,
    onerror: onError,
  })
  const post = async (incoming: IncomingMessage, response: ServerResponse): Promise<Response | Refusal | null> => {
    if (!isJsonContentType(incoming.headers['content-type'])) return NOT_JSON_TYPE
    const reading = await readJsonBody(incoming, limits.maxBodyBytes)
    // Nothing that follows waits for the outside before a place is taken, so the closing of the response is not missed.
    if (reading.kind === 'gone' || response.destroyed) return null
    if (reading.kind === 'too_large') return tooLarge(limits)
    if (reading.kind === 'not_json') return NOT_JSON
    if (reading.kind === 'out_of_bounds') return OUT_OF_BOUNDS
    const { value: body } = reading
    const request = toWebRequest(incoming, response)
    if (await isLegacyRequest(request, body)) return sessions.post(request, body)
    // Streams of subscriptions last; they have a limit of their own.
    const give = calls.take(methodOf(body) === 'subscriptions/listen' ? 0 : requestIdsOf(body).length)
    if (give === null) return tooManyCalls(limits)
    response.once('close', give)
    return modern.fetch(request, { parsedBody: body })
  }
  const answer = (incoming: IncomingMessage, response: ServerResponse): Promise<Response | Refusal | null> => {
    if (incoming.method === 'POST') return post(incoming, response)
    if (incoming.method === 'GET' || incoming.method === 'DELETE')
      return sessions.other(toWebRequest(incoming, response), response)
    return Promise.resolve(WRONG_METHOD)
  }
  return {
    async handle(incoming, response) {
      try {
        const answered = await answer(incoming, response)
        if (answered === null) return
        await (answered instanceof Response ? sendWebResponse(answered, response) : refuse(incoming, response, answered))
      } catch (error) {
        onError(error instanceof Error ? error : new Error(String(error)))
        refuse(incoming, response, INTERNAL)
        response.end()
      }
    },
    async close() {
      await withinMs(limits.closeGraceMs, calls.idle())
      await Promise.all([modern.close(), sessions.close()])
    },
  }
}

const NOT_JSON_TYPE: Refusal = { status: 415, message: 'The Content-Type must be application/json.' }
const NOT_JSON: Refusal = { status: 400, code: -32_700, message: 'The body is not JSON.' }
const OUT_OF_BOUNDS: Refusal = {
  status: 400,
  code: -32_600,
  message: 'The body is nested too deeply, or holds too many values or messages. Send fewer at a time.',
}
const WRONG_METHOD: Refusal = {
  status: 405,
  message: 'The method must be POST, GET or DELETE.',
  headers: { allow: 'POST, GET, DELETE' },
}
const INTERNAL: Refusal = { status: 500, code: -32_603, message: 'The server failed; its own output says why.' }

function tooLarge({ maxBodyBytes }: ServeLimits): Refusal {
  return { status: 413, message: `A request has at most ${maxBodyBytes} bytes.`, headers: { connection: 'close' } }
}
