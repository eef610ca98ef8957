/**
 * JSON-RPC 2.0 as data: what stands in `config.rpc` of a tool whose chain ends at `http_client` or `subprocess`, and what a protocol answers.
 * Specification: https://www.jsonrpc.org/specification
 */
import type { Grant, SandboxMode } from '../sandbox/contract.ts'
import type { Json, JsonObject } from '../../json.ts'

/** `null` only ever comes back, in the answer to a request whose id could not be read. */
export type RpcId = string | number

export interface RpcRequest {
  readonly jsonrpc: '2.0'
  readonly id: RpcId
  readonly method: string
  readonly params?: JsonObject | readonly Json[]
}

export interface RpcNotification {
  readonly jsonrpc: '2.0'
  readonly method: string
  readonly params?: JsonObject | readonly Json[]
}

export interface RpcErrorObject {
  readonly code: number
  readonly message: string
  readonly data?: Json
}

/** Exactly one of both; `result: null` is a success. */
export type RpcResponse =
  | { readonly jsonrpc: '2.0'; readonly id: RpcId; readonly result: Json }
  | { readonly jsonrpc: '2.0'; readonly id: RpcId | null; readonly error: RpcErrorObject }

/** What makes a text no JSON-RPC message. */
export type RpcViolation =
  | 'not_json'
  /** It nests too deeply or holds too many values to be read. */
  | 'too_complex'
  | 'not_an_object'
  | 'empty_batch'
  | 'wrong_version'
  | 'bad_id'
  | 'bad_method'
  | 'bad_params'
  | 'result_and_error'
  | 'neither_result_nor_error'
  | 'bad_error'

/** One parsed message, or why it is none. `id` is there when it could be read. */
export type ParsedRpc =
  | { readonly kind: 'request'; readonly message: RpcRequest }
  | { readonly kind: 'notification'; readonly message: RpcNotification }
  | { readonly kind: 'response'; readonly message: RpcResponse }
  | { readonly kind: 'invalid'; readonly violation: RpcViolation; readonly reason: string; readonly id: RpcId | null }

/** A call of a primitive whose configuration names a protocol. The kernel's `PrimitiveCall` fits. */
export interface RpcCall {
  /** Merged and rendered; `config.rpc` names the protocol and is read by it. */
  readonly config: JsonObject
  /** The caller's, checked against the schema of the leaf. */
  readonly parameters: JsonObject
  /** The tool that was called. */
  readonly leaf: RpcLeaf
  readonly context: {
    readonly projectPath: string
    readonly signal?: AbortSignal
    readonly __grant?: Grant
    /** What a signed connector file says that its server consists of, for the call that lists its tools; as `program` of `McpRpcConfig`. */
    readonly __program?: readonly string[]
  }
}

export interface RpcLeaf {
  readonly id: string
  readonly description: string
  readonly inputSchema: JsonObject | null
}

export interface RpcOutcome {
  readonly value: unknown
  readonly error: {
    readonly code: string
    readonly message: string
    readonly retryable: boolean
    readonly detail?: Readonly<Record<string, unknown>>
    /** The code says what happened beyond a tool that failed, and is shown to the caller as it is. */
    readonly isOwn?: boolean
    readonly suggestion?: string
  } | null
  readonly sandbox?: SandboxMode
}

/** A protocol spoken over a primitive. `call` never rejects for what the other side does. */
export interface RpcProtocol {
  /** Value of `config.rpc.protocol` that chooses it. */
  readonly name: string
  call(call: RpcCall): Promise<RpcOutcome>
}
