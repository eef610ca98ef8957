import type { Json } from '../../json.ts'
import { rpcErrorName } from './error-codes.ts'
import type { ParsedRpc, RpcErrorObject, RpcId, RpcOutcome, RpcResponse, RpcViolation } from './contract.ts'
import type { RpcExchange } from './rpc-config.ts'

/** How the other side broke the protocol. */
export interface RpcBreach {
  readonly violation: RpcViolation | 'unknown_id' | 'duplicate_id' | 'not_an_answer' | 'batch_for_one'
  /** Continues "it sent what is no JSON-RPC answer: …". */
  readonly reason: string
  readonly id: RpcId | null
}

/** The answers to the requests of one exchange, in whatever order they come. */
export interface Answers {
  /** One parsed message. The first breach is the one that counts. */
  take(parsed: ParsedRpc): RpcBreach | null
  /** Whether nothing more is to come: each request has its answer, or all were refused at once. */
  complete(): boolean
  isAnswered(id: RpcId): boolean
  /**
   * What the call comes to. Value: `{id, result}` for a request, `{answers: [{id, method, result | error | missing}]}` for a batch, `{sent}` where
   * nothing is answered. A batch fails where an answer is missing; an error object in it is an answer.
   */
  outcome(): RpcOutcome
}

const MAX_DATA_CHARS = 8_192
const MAX_MESSAGE_CHARS = 2_000

export function createAnswers({ requests, messages, isBatch }: RpcExchange): Answers {
  const waiting = new Set(requests.map(({ id }) => id))
  const answered = new Map<RpcId, RpcResponse>()
  /** An answer to what the other side could not read: to none of the requests, or to all. */
  let refusal: RpcErrorObject | null = null
  let breach: RpcBreach | null = null

  const take = (parsed: ParsedRpc): RpcBreach | null => {
    if (parsed.kind === 'invalid') return parsed
    if (parsed.kind !== 'response') return { violation: 'not_an_answer', reason: `it is a ${parsed.kind}`, id: null }
    const { message } = parsed
    if (message.id === null) {
      // A result has an id.
      if ('error' in message) refusal ??= message.error
      return null
    }
    if (answered.has(message.id))
      return { violation: 'duplicate_id', reason: `the request ${JSON.stringify(message.id)} is answered twice`, id: message.id }
    if (!waiting.delete(message.id)) {
      const expected = requests
        .map(({ id }) => JSON.stringify(id))
        .slice(0, 5)
        .join(', ')
      const reason = `nobody asked with the id ${JSON.stringify(message.id).slice(0, 80)} (asked: ${expected === '' ? 'nothing' : expected})`
      return { violation: 'unknown_id', reason, id: message.id }
    }
    answered.set(message.id, message)
    return null
  }

  const single = (): RpcOutcome => {
    const [request] = requests
    const answer = request === undefined ? undefined : answered.get(request.id)
    if (request === undefined) return { value: { sent: messages.length }, error: null }
    if (answer === undefined) return missing([request.id])
    if ('error' in answer) return rpcFailure(request.method, answer.error)
    return { value: { id: request.id, result: answer.result }, error: null }
  }
  const batch = (): RpcOutcome => {
    if (requests.length === 0) return { value: { sent: messages.length }, error: null }
    const answers = requests.map(({ id, method }) => ({ id, method, ...entryOf(answered.get(id)) }))
    const error = waiting.size === 0 ? null : missing([...waiting]).error
    return { value: { answers }, error }
  }

  return {
    take(parsed) {
      const found = take(parsed)
      breach ??= found
      return found
    },
    complete: () => waiting.size === 0 || refusal !== null,
    isAnswered: (id) => answered.has(id),
    outcome() {
      if (breach !== null) return breachFailure(breach)
      if (refusal !== null) {
        const { error } = rpcFailure(isBatch ? 'The batch' : (messages[0]?.method ?? ''), refusal)
        return { value: answered.size === 0 ? null : batch().value, error }
      }
      return isBatch ? batch() : single()
    },
  }
}

function entryOf(answer: RpcResponse | undefined): object {
  if (answer === undefined) return { missing: true }
  if ('result' in answer) return { result: answer.result }
  const { code, message, data } = answer.error
  return { error: { rpc_code: code, rpc_name: rpcErrorName(code), message, ...(data === undefined ? {} : { data }) } }
}

/** JSON_RPC_ERROR {rpc_code, rpc_name, data}. */
function rpcFailure(method: string, { code, message, data }: RpcErrorObject): RpcOutcome {
  const name = rpcErrorName(code)
  const text = message.length > MAX_MESSAGE_CHARS ? `${message.slice(0, MAX_MESSAGE_CHARS)}…` : message
  return {
    value: null,
    error: {
      code: 'JSON_RPC_ERROR',
      isOwn: true,
      message: `${method.slice(0, 200)} was answered with the error ${code} (${name}): ${text}`,
      retryable: false,
      detail: { rpc_code: code, rpc_name: name, ...(data === undefined ? {} : { data: bounded(data) }) },
      ...(name === 'method_not_found' ? { suggestion: 'Check `method` against what the service offers.' } : {}),
      ...(name === 'invalid_params' ? { suggestion: 'Check the names, order and types of `params`.' } : {}),
    },
  }
}

/** INVALID_RESPONSE {violation}: what came is no answer to what was asked. */
export function breachFailure({ violation, reason, id }: RpcBreach): RpcOutcome {
  return {
    value: null,
    error: {
      code: 'INVALID_RESPONSE',
      message: `The other side sent what is no JSON-RPC answer: ${reason}.`,
      retryable: false,
      detail: { violation, ...(id === null ? {} : { id }) },
    },
  }
}

function missing(ids: readonly RpcId[]): RpcOutcome {
  return {
    value: null,
    error: {
      code: 'INVALID_RESPONSE',
      message: `The other side ended its answer without one to the ids ${ids
        .map((id) => JSON.stringify(id))
        .slice(0, 20)
        .join(', ')}.`,
      retryable: false,
      detail: { violation: 'missing', missing: ids },
    },
  }
}

/** Data of an error goes into the error that the caller is shown, which is no place for a long text. */
function bounded(data: Json): Json {
  const text = JSON.stringify(data)
  return text.length <= MAX_DATA_CHARS ? data : `${text.slice(0, MAX_DATA_CHARS)}… (${text.length} characters)`
}
