/** The service that the examples of the specification are about, on our own reader. */
import type { Json, JsonObject } from '../../../src/json.ts'
import { rpcErrorResponse, type RpcParams } from '../../../src/primitives/json-rpc/build-message.ts'
import type { ParsedRpc, RpcErrorObject, RpcId, RpcRequest, RpcResponse } from '../../../src/primitives/json-rpc/contract.ts'
import { parseRpc, parseRpcText } from '../../../src/primitives/json-rpc/parse-message.ts'

const PARSE_ERROR: RpcErrorObject = { code: -32700, message: 'Parse error' }
const INVALID_REQUEST: RpcErrorObject = { code: -32600, message: 'Invalid Request' }
const METHOD_NOT_FOUND: RpcErrorObject = { code: -32601, message: 'Method not found' }
const INVALID_PARAMS: RpcErrorObject = { code: -32602, message: 'Invalid params', data: { expected: 'numbers' } }

/** The line that answers a line; null where nothing is answered. */
export function answerTo(text: string): string | null {
  const read = parseRpcText(text)
  if (read.kind === 'single') return line(answerOne(read.parsed))
  const answers = read.entries.flatMap((entry) => answerOne(parseRpc(entry)) ?? [])
  return answers.length === 0 ? null : JSON.stringify(answers)
}

const line = (answer: RpcResponse | null): string | null => (answer === null ? null : JSON.stringify(answer))

function answerOne(parsed: ParsedRpc): RpcResponse | null {
  switch (parsed.kind) {
    case 'invalid':
      return rpcErrorResponse(null, parsed.violation === 'not_json' ? PARSE_ERROR : INVALID_REQUEST)
    case 'request':
      return answerRequest(parsed.message)
    case 'notification':
    case 'response':
      return null
  }
}

function answerRequest({ id, method, params }: RpcRequest): RpcResponse {
  const result = (value: Json): RpcResponse => ({ jsonrpc: '2.0', id, result: value })
  switch (method) {
    case 'subtract':
      return subtract(id, params)
    case 'sum':
      return result(numbers(params).reduce((total, one) => total + one, 0))
    case 'get_data':
      return result(['hello', 5])
    case 'nothing':
      return result(null)
    default:
      return rpcErrorResponse(id, METHOD_NOT_FOUND)
  }
}

function subtract(id: RpcId, params: RpcParams | undefined): RpcResponse {
  const named = isMap(params) ? [params['minuend'], params['subtrahend']] : params
  const [minuend, subtrahend] = numbers(named)
  if (minuend === undefined || subtrahend === undefined) return rpcErrorResponse(id, INVALID_PARAMS)
  return { jsonrpc: '2.0', id, result: minuend - subtrahend }
}

function numbers(params: unknown): readonly number[] {
  return Array.isArray(params) ? params.filter((one) => typeof one === 'number') : []
}

function isMap(value: RpcParams | undefined): value is JsonObject {
  return value !== undefined && !Array.isArray(value)
}
