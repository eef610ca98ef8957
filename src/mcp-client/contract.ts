/**
 * The client side of MCP: what `config.rpc` says where `protocol` is `mcp`, and what a call of an external server can come to.
 */
import type { Json, JsonObject } from '../json.ts'
import type { RpcProtocol } from '../primitives/json-rpc/contract.ts'

/** `config.rpc` of a tool that speaks MCP. Durations are milliseconds, sizes bytes. */
export interface McpRpcConfig {
  readonly protocol: 'mcp'
  /** Name of the server: what `mcp.connect` is scoped to. */
  readonly server: string
  /** `legacy` (2025-11-25 and older), `modern` (2026-07-28), or `auto`. Default: `auto` over HTTP, `legacy` over stdio. */
  readonly era?: 'auto' | 'legacy' | 'modern'
  /** HTTP only. */
  readonly auth?: McpAuth | null
  /** `tools/list` (all pages), `tools/call`, `resources/list`, `resources/read`, `prompts/list`, `prompts/get`, `ping`. */
  readonly method?: string
  readonly params?: JsonObject | null
  /** The upstream tool that the caller's own parameters are for; in place of `method` and `params`. */
  readonly mcp_tool?: string
  /** `sha256:` of the upstream definition that was signed; a tool with another one is not called. */
  readonly upstream_hash?: string
  /** For connecting and for the answer. Default 30,000 and 60,000. */
  readonly connect_timeout_ms?: number
  readonly timeout_ms?: number
  /** Default 10 MiB. */
  readonly max_message_bytes?: number
  /** Calls of this server at one time; more wait. Default 4. */
  readonly max_concurrency?: number
  /** A session that nobody uses is closed after this. Default 60,000. */
  readonly idle_ms?: number
}

export type McpAuth =
  | { readonly type: 'bearer'; readonly token: string }
  | { readonly type: 'header'; readonly name: string; readonly value: string }

/** One tool as its server describes it. Nothing in it is trusted. */
export interface UpstreamTool {
  readonly name: string
  readonly title?: string
  readonly description?: string
  readonly inputSchema: JsonObject
  readonly outputSchema?: JsonObject
  readonly annotations?: JsonObject
}

/** What is wrong with what a server sent, in the fact `violation` of MCP_PROTOCOL_VIOLATION. The server is closed at the first one. */
export type McpViolation =
  | 'not_json_rpc'
  | 'result_and_error'
  | 'unknown_id'
  | 'duplicate_id'
  | 'message_too_long'
  | 'flood'
  | 'not_granted'
  | 'endless_pages'

/**
 * The protocol over each of the two primitives. Errors of a call: MCP_CONNECTION_FAILED {endpoint, cause, remediation},
 * MCP_PROTOCOL_VIOLATION {server, violation}, MCP_SERVER_ENDED {server}, MCP_TOOL_CHANGED {server, tool, diff}, JSON_RPC_ERROR {rpc_code},
 * EXECUTION_FAILED (the tool answered with `isError`; its content is the value), TIMEOUT, ABORTED, CONFIG_VALIDATION_ERROR.
 */
export interface McpClient {
  readonly overHttp: RpcProtocol
  readonly overStdio: RpcProtocol
  /** Ends all sessions. Resolves when their processes are gone. */
  close(): Promise<void>
}

/** Value of a successful `tools/call`: what the server answered, bounded. */
export interface McpToolValue {
  readonly content: readonly Json[]
  readonly structuredContent?: JsonObject
}
