import { hash } from 'node:crypto'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Json, JsonObject } from '../json.ts'
import { anthropicAnswer, anthropicError, anthropicErrorEvent } from './anthropic-answer.ts'
import { readAnthropicRequest } from './anthropic-request.ts'
import { isObject } from './conversation.ts'
import type { Conversation } from './conversation.ts'
import { deliver } from './delivery.ts'
import { openaiAnswer, openaiError, openaiErrorEvent } from './openai-answer.ts'
import { readOpenaiRequest } from './openai-request.ts'
import { planOutput } from './output-plan.ts'
import { createPromptCache } from './prompt-cache.ts'
import type { PromptCache } from './prompt-cache.ts'
import type { LoggedRequest, RequestLog } from './request-log.ts'
import { RequestProblem } from './request-problem.ts'
import { createDecide } from './rules.ts'
import type { Decision } from './rules.ts'
import type { Reply, Scenario, ScenarioFunction, ScriptedUsage } from './scenario.ts'
import type { WireAnswer } from './stream-event.ts'

type WireName = Conversation['wire']

export interface IncomingModelRequest {
  readonly wire: WireName
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** What the server does with each kind of request. */
export interface Answering {
  answer(response: ServerResponse, request: IncomingModelRequest): void
  listModels(response: ServerResponse): void
  refuseRoute(response: ServerResponse, route: string): void
  refuseSize(response: ServerResponse, wire: WireName): void
}

const MARK: Readonly<Record<string, string>> = { 'x-scripted-model': 'true' }

/** Answers from one scenario; every request is logged once. */
export function createAnswering(scenario: Scenario | ScenarioFunction, log: RequestLog): Answering {
  const decide = createDecide(scenario)
  const cache = createPromptCache()
  let seq = 0
  return {
    answer: (response, request) => {
      seq += 1
      const entry = describeRequest(seq, request)
      try {
        const { conversation, body } = readRequest(request)
        Object.assign(entry, {
          model: conversation.model,
          message_count: conversation.messageCount,
          turn: conversation.turn,
          stream: conversation.stream,
        })
        const decision = decide(conversation, { seq, body })
        if (decision.kind === 'none') throw new RequestProblem(decision.message)
        sendDecision(response, { decision, conversation, body, entry, cache })
      } catch (error) {
        const problem =
          error instanceof RequestProblem
            ? error
            : new RequestProblem(`The scenario failed: ${messageOf(error)}`, 500, 'api_error')
        entry.status = problem.status
        sendError(response, request.wire, problem)
      }
      log.add(entry)
    },
    listModels: (response) => {
      const data = [
        {
          id: 'scripted-model',
          object: 'model',
          type: 'model',
          display_name: 'Scripted model',
          created: 0,
          created_at: '1970-01-01T00:00:00Z',
          owned_by: 'scripted',
        },
      ]
      sendJson(response, 200, { object: 'list', data, has_more: false, first_id: 'scripted-model', last_id: 'scripted-model' })
    },
    refuseRoute: (response, route) => {
      const message = `The scripted model serves POST /v1/messages, POST /v1/chat/completions and GET /v1/models, not ${route}.`
      sendError(response, 'anthropic_messages', new RequestProblem(message, 404, 'not_found_error'))
    },
    refuseSize: (response, wire) => {
      sendError(response, wire, new RequestProblem('Request exceeds the maximum size', 413, 'request_too_large'))
    },
  }
}

type Entry = { -readonly [K in keyof LoggedRequest]: LoggedRequest[K] }

function describeRequest(seq: number, { wire, headers, body }: IncomingModelRequest): Entry {
  return {
    seq,
    wire,
    model: null,
    message_count: null,
    turn: null,
    stream: false,
    body_sha256: hash('sha256', body),
    body_bytes: body.length,
    auth: keyOf(wire, headers) !== null,
    rule: null,
    fault: null,
    status: 200,
  }
}

function keyOf(wire: WireName, headers: IncomingHttpHeaders): string | null {
  const bearer = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1] ?? null
  const key = headers['x-api-key']
  return wire === 'anthropic_messages' && typeof key === 'string' && key !== '' ? key : bearer
}

/** @throws {RequestProblem} */
function readRequest({ wire, headers, body }: IncomingModelRequest): { conversation: Conversation; body: JsonObject } {
  if (keyOf(wire, headers) === null) {
    const expected =
      wire === 'anthropic_messages' ? 'x-api-key header is required' : "You didn't provide an API key in an Authorization header."
    throw new RequestProblem(expected, 401, 'authentication_error')
  }
  if (wire === 'anthropic_messages' && headers['anthropic-version'] === undefined) {
    throw new RequestProblem('anthropic-version: header is required')
  }
  const parsed = parseBody(body)
  return { conversation: wire === 'anthropic_messages' ? readAnthropicRequest(parsed) : readOpenaiRequest(parsed), body: parsed }
}

function parseBody(body: Buffer): JsonObject {
  let parsed: Json
  try {
    // JSON.parse can give nothing but JSON values.
    parsed = JSON.parse(body.toString('utf8')) as Json
  } catch (error) {
    throw new RequestProblem(`The request body is not valid JSON: ${messageOf(error)}`)
  }
  if (!isObject(parsed)) throw new RequestProblem('The request body is not a JSON object')
  return parsed
}

interface Sending {
  readonly decision: Decision & { readonly kind: 'answer' }
  readonly conversation: Conversation
  readonly body: JsonObject
  readonly entry: Entry
  readonly cache: PromptCache
}

function sendDecision(response: ServerResponse, { decision, conversation, body, entry, cache }: Sending): void {
  const { reply, fault, rule } = decision
  entry.rule = rule
  entry.fault = fault?.kind ?? null
  if (fault?.kind === 'status' || (fault?.kind === 'error_event' && !conversation.stream)) {
    const status = fault.kind === 'status' ? fault.status : 529
    entry.status = status
    const text = (fault.kind === 'status' ? fault.message : null) ?? `Scripted fault: status ${status}`
    const retryAfter = fault.kind === 'status' ? fault.retry_after_seconds : undefined
    sendError(response, conversation.wire, new RequestProblem(text, status, errorType(status)), retryAfter)
    return
  }
  const streamErrorType = fault?.kind === 'error_event' ? (fault.error_type ?? 'overloaded_error') : 'overloaded_error'
  const anthropic = conversation.wire === 'anthropic_messages'
  deliver(response, {
    answer: compose({ reply, conversation, body, cache, digest: entry.body_sha256 }),
    stream: conversation.stream,
    delayMs: reply.delay_ms ?? 0,
    fault,
    errorEvent: anthropic
      ? anthropicErrorEvent(streamErrorType, 'Scripted fault: overloaded')
      : openaiErrorEvent(streamErrorType, 'Scripted fault: overloaded'),
    headers: { ...MARK, 'request-id': `req_scripted_${entry.seq}`, 'x-request-id': `req_scripted_${entry.seq}` },
  })
}

interface Composition {
  readonly reply: Reply
  readonly conversation: Conversation
  readonly body: JsonObject
  readonly cache: PromptCache
  /** Hash of the request: ids made of it are the same for the same request, and differ between the turns of a conversation. */
  readonly digest: string
}

function compose({ reply, conversation, body, cache, digest }: Composition): WireAnswer {
  const short = digest.slice(0, 16)
  const model = conversation.model.startsWith('scripted') ? conversation.model : `scripted-${conversation.model}`
  if (conversation.wire === 'anthropic_messages') {
    const plan = planOutput(reply, conversation, (position) => `toolu_scripted_${short}_${position}`)
    const { oneHour, ...measured } = cache.measureMarked(body)
    const usage: ScriptedUsage = { ...measured, output: plan.visibleTokens, reasoning: plan.reasoningTokens, ...reply.usage }
    return anthropicAnswer({ id: `msg_scripted_${short}`, model, plan, usage, oneHour })
  }
  const plan = planOutput(reply, conversation, (position) => `call_scripted_${short}_${position}`)
  const usage = { ...cache.measureAutomatic(body), output: plan.visibleTokens, reasoning: plan.reasoningTokens, ...reply.usage }
  const options = body['stream_options']
  const includeUsage = isObject(options) && options['include_usage'] === true
  return openaiAnswer({ id: `chatcmpl-scripted-${short}`, model, plan, usage, includeUsage })
}

const ERROR_TYPES: ReadonlyMap<number, string> = new Map([
  [401, 'authentication_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [529, 'overloaded_error'],
])

function errorType(status: number): string {
  return ERROR_TYPES.get(status) ?? (status >= 500 ? 'api_error' : 'invalid_request_error')
}

function sendError(response: ServerResponse, wire: WireName, problem: RequestProblem, retryAfterSeconds?: number): void {
  const body =
    wire === 'anthropic_messages'
      ? anthropicError(problem.type, problem.message, 'req_scripted')
      : openaiError(problem.type, problem.message, null)
  sendJson(response, problem.status, body, retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) })
}

function sendJson(
  response: ServerResponse,
  status: number,
  body: JsonObject,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { ...MARK, ...headers, 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
