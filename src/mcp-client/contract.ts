/**
 * The client side of MCP: what `config.rpc` says where `protocol` is `mcp`, and what a call of an external server can come to.
 */
import type { Json, JsonObject } from '../json.ts'
import type { RpcProtocol } from '../primitives/json-rpc/contract.ts'

/** `config.rpc` of a tool that speaks MCP, as files say it. Durations are milliseconds, sizes bytes. @public */
export interface McpRpcConfig {
  readonly protocol: 'mcp'
  /** Name of the server: what `mcp.connect` is scoped to. */
  readonly server: string
  /** `legacy` (2025-11-25 and older), `modern` (2026-07-28), or `auto`. Default: `auto` over HTTP, `legacy` over stdio. */
  readonly era?: 'auto' | 'legacy' | 'modern'
  /** stdio only: files and folders of the project that the server consists of (`node_modules`), shown read-only whatever the caller may read. Never a caller's parameter. */
  readonly program?: readonly string[]
  /** HTTP only. */
  readonly auth?: McpAuth | null
  /** `tools/list` (all pages), `tools/call`, `resources/list`, `resources/templates/list`, `resources/read`, `prompts/list`, `prompts/get`, `ping`. */
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
  /** A result that has not the form its method asks for. */
  | 'bad_result'
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
 * EXECUTION_FAILED (the tool answered with `isError`; its content is the value), TIMEOUT, ABORTED, CONFIG_VALIDATION_ERROR, LIMIT_EXCEEDED,
 * PERMISSION_DENIED, ADDRESS_DENIED, SANDBOX_UNAVAILABLE.
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

/** One live connection to a server, under the reach of one grant. */
export interface McpSession {
  readonly server: string
  /** For messages: the URL without query and credentials, or the command with its first arguments. */
  readonly endpoint: string
  readonly era: 'legacy' | 'modern'
  /** One request and its answer. @throws {McpFailure} */
  request(method: string, params: JsonObject | undefined, options: SessionRequestOptions): Promise<JsonObject>
  /** All pages; remembered until the server says that they changed. @throws {McpFailure} */
  tools(options: SessionRequestOptions): Promise<readonly UpstreamTool[]>
  /** Resolves when the session is over: with what ended it, or null when we closed it. Never rejects. */
  readonly ended: Promise<McpFailure | null>
  close(): Promise<void>
}

export interface SessionRequestOptions {
  readonly signal?: AbortSignal
  /** Without an answer and without progress. */
  readonly timeoutMs: number
  /** For `tools`: ask, whatever is remembered. */
  readonly fresh?: boolean
  /** However much progress is told. Default ten times `timeoutMs`. */
  readonly maxTotalMs?: number
  /** Told of each progress notification that belongs to this request. It must not throw. */
  readonly onProgress?: (progress: SessionProgress) => void
}

export interface SessionProgress {
  readonly progress: number
  readonly total?: number
  readonly message?: string
}

/** Why a call of an external server failed; `code` and `detail` are those of the error that the caller is shown. */
export class McpFailure extends Error {
  override readonly name = 'McpFailure'
  readonly code: McpFailureCode
  readonly retryable: boolean
  readonly detail: Readonly<Record<string, Json>>
  readonly suggestion: string | undefined

  constructor(
    code: McpFailureCode,
    message: string,
    options: {
      readonly retryable?: boolean
      readonly detail?: Readonly<Record<string, Json>>
      readonly suggestion?: string
      readonly cause?: unknown
    } = {},
  ) {
    super(message, { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.detail = options.detail ?? {}
    this.suggestion = options.suggestion
  }
}

export type McpFailureCode =
  | 'MCP_CONNECTION_FAILED'
  | 'MCP_PROTOCOL_VIOLATION'
  | 'MCP_SERVER_ENDED'
  | 'MCP_TOOL_CHANGED'
  | 'JSON_RPC_ERROR'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'LIMIT_EXCEEDED'
  | 'PERMISSION_DENIED'
  | 'ADDRESS_DENIED'
  | 'SANDBOX_UNAVAILABLE'
  | 'CONFIG_VALIDATION_ERROR'
