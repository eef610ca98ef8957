import type { Json, JsonObject } from '../../json.ts'
import type { RpcErrorObject, RpcId, RpcNotification, RpcRequest, RpcResponse } from './contract.ts'

export type RpcParams = JsonObject | readonly Json[]

/** Named, positional or no parameters. */
export function rpcRequest(id: RpcId, method: string, params?: RpcParams): RpcRequest {
  return params === undefined ? { jsonrpc: '2.0', id, method } : { jsonrpc: '2.0', id, method, params }
}

export function rpcNotification(method: string, params?: RpcParams): RpcNotification {
  return params === undefined ? { jsonrpc: '2.0', method } : { jsonrpc: '2.0', method, params }
}

/** `id` is null where that of the request could not be read. */
export function rpcErrorResponse(id: RpcId | null, error: RpcErrorObject): RpcResponse {
  return { jsonrpc: '2.0', id, error }
}

/** The id of a message that needs one: 1, 2, … without those that are taken. */
export function createIds(taken: ReadonlySet<RpcId> = new Set()): () => number {
  let last = 0
  return () => {
    do last += 1
    while (taken.has(last))
    return last
  }
}
