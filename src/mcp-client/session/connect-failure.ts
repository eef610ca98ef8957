import { GuardedFetchError } from '../../primitives/http-client/guarded-fetch.ts'
import { OpenProcessError } from '../../primitives/subprocess/contract.ts'
import { McpFailure } from '../contract.ts'
import { connectionFailure, fetchFailure, openFailure, ownCause, quoted, statusFailure } from './failures.ts'
import type { ServerName } from './failures.ts'
import type { Sdk } from './sdk.ts'

/** The time for connecting is over. */
export class HandshakeTimeout extends Error {}

export interface ConnectFacts extends ServerName {
  readonly sdk: Sdk
  readonly leftMs: number
  readonly era: 'auto' | 'legacy' | 'modern'
}

const CHECK_COMMAND = 'Check `command`, `args` and `program`, and what the server wrote to stderr.'

/** Why no session came about. */
export function connectFailure(error: unknown, facts: ConnectFacts): McpFailure {
  const { sdk } = facts
  const own = ownCause(error)
  if (own instanceof GuardedFetchError) return fetchFailureOf(own, facts)
  if (own instanceof OpenProcessError) return openFailure(facts, own)
  if (own instanceof McpFailure) return ofSession(own, facts)
  if (error instanceof HandshakeTimeout || isTimeout(error, sdk)) return timeoutFailure(facts)
  if (sdk.SdkHttpError.isInstance(error)) return statusFailure(facts, error.status)
  const how = `${quoted(error instanceof Error ? error.message : String(error)).replace(/\.$/, '')}.`
  if (sdk.UnsupportedProtocolVersionError.isInstance(error) || isEraFailure(error, sdk) || /protocol version/i.test(how))
    return connectionFailure(facts, {
      cause: 'PROTOCOL_VERSION',
      how,
      retryable: false,
      remediation: `Its protocol is another one: set \`era\` to ${facts.era === 'modern' ? '`legacy` or `auto`' : '`auto` or `modern`'}.`,
    })
  if (sdk.ProtocolError.isInstance(error))
    return connectionFailure(facts, {
      cause: 'JSON_RPC_ERROR',
      how: `it refused the handshake: ${how}`,
      retryable: false,
      remediation: 'Set `era` to the protocol that it speaks (`legacy`, `modern`, `auto`), and check its configuration.',
      detail: { rpc_code: error.code },
    })
  const remediation = 'Check that it is an MCP server, and that it speaks Streamable HTTP or stdio.'
  return connectionFailure(facts, { cause: 'HANDSHAKE', how, retryable: false, remediation })
}

function fetchFailureOf(error: GuardedFetchError, facts: ConnectFacts): McpFailure {
  const failure = fetchFailure(facts, error, false)
  return failure.code === 'MCP_PROTOCOL_VIOLATION' ? ofSession(failure, facts) : failure
}

/** What would have ended the session, had there been one. */
function ofSession(failure: McpFailure, facts: ConnectFacts): McpFailure {
  const { code, retryable, detail } = failure
  const message = failure.message.replace(`The MCP server "${facts.server}" (${facts.endpoint})`, 'it')
  if (code === 'MCP_PROTOCOL_VIOLATION') {
    const remediation = 'It must be a server of MCP that writes nothing but messages; look at what it wrote.'
    return connectionFailure(facts, { cause: code, how: message, retryable: false, remediation, detail })
  }
  if (code === 'MCP_SERVER_ENDED')
    return connectionFailure(facts, { cause: code, how: message, retryable, remediation: CHECK_COMMAND, detail })
  return failure
}

function timeoutFailure(facts: ConnectFacts): McpFailure {
  const how = `it did not answer within ${Math.round(facts.leftMs)} ms.`
  return connectionFailure(facts, {
    cause: 'TIMEOUT',
    how,
    retryable: true,
    remediation: 'Raise `connect_timeout_ms` if it is only slow.',
  })
}

function isTimeout(error: unknown, sdk: Sdk): boolean {
  return sdk.SdkError.isInstance(error) && error.code === sdk.SdkErrorCode.RequestTimeout
}

function isEraFailure(error: unknown, sdk: Sdk): boolean {
  if (!sdk.SdkError.isInstance(error)) return false
  return (
    error.code === sdk.SdkErrorCode.EraNegotiationFailed || error.code === sdk.SdkErrorCode.MethodNotSupportedByProtocolVersion
  )
}
