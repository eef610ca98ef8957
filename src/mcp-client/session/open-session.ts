import type { NetworkGrant } from '../../primitives/sandbox/contract.ts'
import type { OpenProcess, OpenProcessRequest } from '../../primitives/subprocess/contract.ts'
import type { McpAuth, McpSession } from '../contract.ts'

/** What a session is opened with. Durations are milliseconds, sizes bytes. */
export interface OpenSessionRequest {
  /** Name of the server, for messages and facts. */
  readonly server: string
  readonly target: HttpTarget | StdioTarget
  /** Default: `auto` over HTTP, `legacy` over stdio. */
  readonly era?: 'auto' | 'legacy' | 'modern'
  /** From opening to the end of the handshake. Default 30,000. */
  readonly connectTimeoutMs?: number
  /** Of one incoming message. Default 10 MiB. */
  readonly maxMessageBytes?: number
  /** Ends the opening, and nothing once the session is there. */
  readonly signal?: AbortSignal
}

/** A server that is asked over Streamable HTTP. */
export interface HttpTarget {
  readonly kind: 'http'
  readonly url: string
  /** Besides those of the protocol; values are never repeated in messages. */
  readonly headers?: Readonly<Record<string, string>>
  readonly auth?: McpAuth | null
  /** Which hosts may be asked, checked before every request and redirect; undefined is none. */
  readonly network: NetworkGrant | undefined
  /** Asked again before every request; false ends the session. */
  readonly isLive?: () => boolean
}

/** A server that is started as a process and spoken to line by line. */
export interface StdioTarget {
  readonly kind: 'stdio'
  readonly open: OpenProcess
  /** `command`, `args`, `env`, `env_allow`, `cwd`, `limits` as for the `subprocess` primitive. */
  readonly process: Pick<OpenProcessRequest, 'config' | 'parameters' | 'context' | 'program'>
}

/**
 * Connects to a server and agrees on a protocol with it.
 *
 * Several sessions share nothing. A session holds its connection until `close`, or until its server ends or breaks the protocol: `ended` tells.
 *
 * @throws {McpFailure} MCP_CONNECTION_FAILED {endpoint, cause, remediation}, MCP_PROTOCOL_VIOLATION, PERMISSION_DENIED, ADDRESS_DENIED,
 * SANDBOX_UNAVAILABLE, LIMIT_EXCEEDED, CONFIG_VALIDATION_ERROR, ABORTED. Nothing is left running.
 */
export function openMcpSession(_request: OpenSessionRequest): Promise<McpSession> {
  return Promise.reject(new Error('not built yet'))
}
