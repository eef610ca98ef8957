/** Codes that the specification defines. https://www.jsonrpc.org/specification#error_object */
export const RPC_ERROR_CODES = {
  parse_error: -32700,
  invalid_request: -32600,
  method_not_found: -32601,
  invalid_params: -32602,
  internal_error: -32603,
} as const

/** Of an error's code: its name in the specification, `server_error` and `reserved` for its ranges, `application_error` for all others. */
export type RpcErrorName = keyof typeof RPC_ERROR_CODES | 'server_error' | 'reserved' | 'application_error'

export function rpcErrorName(code: number): RpcErrorName {
  for (const [name, known] of Object.entries(RPC_ERROR_CODES)) {
    // The keys of the table above.
    if (known === code) return name as keyof typeof RPC_ERROR_CODES
  }
  if (code >= -32_099 && code <= -32_000) return 'server_error'
  return code >= -32_768 && code <= -32_000 ? 'reserved' : 'application_error'
}
