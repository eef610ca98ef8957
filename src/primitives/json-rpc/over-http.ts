import type { Json, JsonObject } from '../../json.ts'
import type { HttpPrimitive } from '../http-client/http-client.ts'
import { type Answers, breachFailure, createAnswers } from './answers.ts'
import type { RpcCall, RpcOutcome, RpcProtocol } from './contract.ts'
import { type ParsedRpcText, parseRpc, parseRpcText, parseRpcValue } from './parse-message.ts'
import { readExchange, readTimeoutMs, RpcConfigError, type RpcExchange } from './rpc-config.ts'

/**
 * `rpc: {protocol: json_rpc, …}` over `http_client`: one POST, whose address, headers, caps, timers and retries are those of the primitive.
 *
 * Errors: those of the primitive; JSON_RPC_ERROR {rpc_code, rpc_name, data}, also where it comes with a status that is no success; INVALID_RESPONSE
 * {violation} for an answer that is none.
 */
export function createJsonRpcOverHttp(http: Pick<HttpPrimitive, 'execute'>): RpcProtocol {
  return {
    name: 'json_rpc',
    async call(call) {
      try {
        const { exchange, config } = readCall(call)
        const { value, error } = await http.execute({ config, context: call.context, sinks: [] })
        const answers = createAnswers(exchange)
        if (error === null) return outcomeOf(value.body, exchange, answers)
        // Many services tell an error by the status too.
        const told = error.code === 'HTTP_STATUS' ? toldError(value.body, answers) : null
        return told === null ? { value, error } : withStatus(told, value.status_code)
      } catch (error) {
        if (error instanceof RpcConfigError)
          return { value: null, error: { code: 'CONFIG_VALIDATION_ERROR', message: error.message, retryable: false } }
        throw error
      }
    },
  }
}

/** @throws {RpcConfigError} */
function readCall({ config }: RpcCall): { readonly exchange: RpcExchange; readonly config: JsonObject } {
  // Whoever chose the protocol read it as an object.
  const rpc = config['rpc'] as JsonObject
  const exchange = readExchange(rpc)
  const { method, body, mode } = config
  if (method !== undefined && (typeof method !== 'string' || method.toUpperCase() !== 'POST'))
    throw new RpcConfigError('JSON-RPC is sent with POST: leave `method` out. The method of the service is `rpc.method`.')
  if (body !== undefined && body !== null) throw new RpcConfigError('`body` is made from `rpc`: leave it out.')
  if (mode !== undefined && mode !== 'sync') throw new RpcConfigError('JSON-RPC is answered whole: leave `mode` out.')
  const timeoutMs = readTimeoutMs(config, rpc)
  return {
    exchange,
    config: {
      ...config,
      method: 'POST',
      headers: withAccept(config['headers']),
      // Messages are plain JSON data; their types name the fields.
      body: (exchange.isBatch ? exchange.messages : exchange.messages[0]) as unknown as Json,
      ...(timeoutMs === undefined ? {} : { timeouts_ms: withTotal(config['timeouts_ms'], timeoutMs) }),
    },
  }
}

/** What is no map is told by the client, which names the field. */
function withAccept(headers: Json | undefined): Json {
  if (headers === undefined || headers === null) return { accept: 'application/json' }
  if (!isMap(headers) || Object.keys(headers).some((name) => name.toLowerCase() === 'accept')) return headers
  return { accept: 'application/json', ...headers }
}

function withTotal(timeouts: Json | undefined, timeoutMs: number): Json {
  if (timeouts === undefined || timeouts === null) return { total: timeoutMs }
  if (!isMap(timeouts)) return timeouts
  const { total } = timeouts
  return { ...timeouts, total: typeof total === 'number' ? Math.min(total, timeoutMs) : timeoutMs }
}

function outcomeOf(body: unknown, exchange: RpcExchange, answers: Answers): RpcOutcome {
  const expectsNothing = exchange.requests.length === 0
  if (body === null || body === '') return answers.outcome()
  const read = readBody(body)
  // What answers a notification is nobody's answer; that a service says "ok" is not wrong for that.
  if (expectsNothing && read.kind === 'single' && read.parsed.kind === 'invalid') return answers.outcome()
  if (read.kind === 'single') {
    answers.take(read.parsed)
    return answers.outcome()
  }
  if (!exchange.isBatch)
    return breachFailure({ violation: 'batch_for_one', reason: 'it is a list, and one message was sent', id: null })
  for (const entry of read.entries) if (answers.take(parseRpc(entry)) !== null) break
  return answers.outcome()
}

/** A status alone is no error of JSON-RPC; an error object beside it is. */
function toldError(body: unknown, answers: Answers): RpcOutcome | null {
  const read = body === null ? null : readBody(body)
  if (read?.kind !== 'single' || read.parsed.kind !== 'response' || !('error' in read.parsed.message)) return null
  return answers.take(read.parsed) === null ? answers.outcome() : null
}

/** The client reads JSON only where the answer says that it is JSON, which some services forget. */
function readBody(body: unknown): ParsedRpcText {
  return typeof body === 'string' ? parseRpcText(body) : parseRpcValue(body)
}

function withStatus(outcome: RpcOutcome, status: number | null): RpcOutcome {
  const { error } = outcome
  return error === null ? outcome : { ...outcome, error: { ...error, detail: { ...error.detail, http_status: status } } }
}

function isMap(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
