import type { Json } from '../../json.ts'
import { GuardedFetchError } from '../../primitives/http-client/guarded-fetch.ts'
import { OpenProcessError } from '../../primitives/subprocess/contract.ts'
import type { OpenedProcessEnd } from '../../primitives/subprocess/contract.ts'
import { McpFailure } from '../contract.ts'
import type { McpViolation } from '../contract.ts'
import { neutralText } from '../definitions/neutral-text.ts'

/** What messages need to know of a server. */
export interface ServerName {
  readonly server: string
  readonly endpoint: string
}

const MAX_QUOTED = 500

/** Text of a server within a message of ours. */
export function quoted(text: string, maxCharacters: number = MAX_QUOTED): string {
  // Cut first: the text may be as long as a message.
  return neutralText(text.slice(0, maxCharacters * 4), { maxCharacters, multiline: false })
}

/** The server sent what no server may send. `reason` is a phrase about it. */
export function violationFailure({ server, endpoint }: ServerName, violation: McpViolation, reason: string): McpFailure {
  return new McpFailure('MCP_PROTOCOL_VIOLATION', `The MCP server "${server}" (${endpoint}) ${reason}; it was closed.`, {
    detail: { server, violation },
    suggestion: 'Do not use this server until its author has repaired it.',
  })
}

/** The process of a server ended, by itself or because of what it wrote. */
export function processFailure(name: ServerName, end: OpenedProcessEnd): McpFailure {
  const { server, endpoint } = name
  if (end.endedBy === 'line_too_long') return violationFailure(name, 'message_too_long', 'wrote a line that is too long')
  if (end.endedBy === 'too_many_lines') return violationFailure(name, 'flood', 'wrote more lines than anybody could read')
  const how = end.neverRan ?? howItEnded(end)
  const stderr = neutralText(end.stderr.slice(-MAX_STDERR * 2), { maxCharacters: MAX_STDERR, multiline: true })
  return new McpFailure('MCP_SERVER_ENDED', `The MCP server "${server}" (${endpoint}) ended: ${how}`, {
    retryable: end.neverRan === null && end.endedBy !== 'processes',
    detail: {
      server,
      exit_code: end.exitCode,
      signal: end.signal,
      stderr,
      ...(end.neverRan === null ? {} : { never_ran: true }),
    },
    ...(stderr === '' ? {} : { suggestion: 'Read what it wrote to stderr.' }),
  })
}

const MAX_STDERR = 2_000

function howItEnded({ endedBy, exitCode, signal }: OpenedProcessEnd): string {
  if (endedBy === 'processes') return 'it had more processes than it may have.'
  if (endedBy === 'abort') return 'it was stopped.'
  return signal === null ? `it exited with the code ${exitCode ?? 'unknown'}.` : `it was ended by ${signal}.`
}

/** The connection of a request broke, or its server forgot the session. */
export function lostFailure(
  { server, endpoint }: ServerName,
  how: string,
  detail: Readonly<Record<string, Json>> = {},
): McpFailure {
  return new McpFailure('MCP_SERVER_ENDED', `The MCP server "${server}" (${endpoint}) was lost: ${how}`, {
    retryable: true,
    detail: { server, ...detail },
  })
}

/** We did not get as far as a session. */
export function connectionFailure(
  { server, endpoint }: ServerName,
  facts: {
    readonly cause: string
    readonly how: string
    readonly retryable: boolean
    readonly remediation: string
    readonly detail?: Readonly<Record<string, Json>>
  },
): McpFailure {
  const { cause, how, retryable, remediation } = facts
  return new McpFailure(
    'MCP_CONNECTION_FAILED',
    `No connection to the MCP server "${server}" (${endpoint}): ${how} ${remediation}`,
    {
      retryable,
      detail: { ...facts.detail, server, endpoint, cause, remediation },
      suggestion: remediation,
    },
  )
}

/** What an HTTP status other than success says about the server. */
export function statusFailure(name: ServerName, status: number): McpFailure {
  const detail = { status }
  const cause = `HTTP_${status}`
  const how = `the server answered with the status ${status}.`
  const facts = { cause, how, detail, retryable: false }
  if (status === 401)
    return connectionFailure(name, {
      ...facts,
      remediation: 'Check the credentials in `auth`: they are absent, wrong or expired.',
    })
  if (status === 403)
    return connectionFailure(name, {
      ...facts,
      remediation: 'Check what the credentials in `auth` may do: they are not enough for this.',
    })
  if (status >= 300 && status < 400)
    return connectionFailure(name, { ...facts, remediation: 'It redirects elsewhere; use the URL that it redirects to.' })
  if (status === 404 || status === 405)
    return connectionFailure(name, {
      ...facts,
      remediation: 'Check the path of the URL: no Streamable HTTP endpoint of MCP is there.',
    })
  const retryable = [408, 425, 429].includes(status) || status >= 500
  return connectionFailure(name, {
    ...facts,
    retryable,
    remediation: retryable ? 'Try again later.' : 'Check the URL, and that the server speaks MCP over Streamable HTTP.',
  })
}

/** A request that the network or its guard refused. `isConnected` says whether there was a session before. */
export function fetchFailure(name: ServerName, error: GuardedFetchError, isConnected: boolean): McpFailure {
  const { code, message, retryable, failure } = error
  if (code === 'PERMISSION_DENIED' || code === 'ADDRESS_DENIED' || code === 'ABORTED')
    return new McpFailure(code, message, { detail: { server: name.server, ...missingOf(failure.detail) } })
  if (code === 'LIMIT_EXCEEDED') return violationFailure(name, 'message_too_long', 'sent an answer that is too long')
  if (isConnected) return lostFailure(name, message, { cause: code })
  const remediation = retryable ? 'Try again when the server runs.' : 'Check the URL and the certificate of the server.'
  return connectionFailure(name, { cause: code, how: message, retryable, remediation })
}

function missingOf(detail: Readonly<Record<string, unknown>> | undefined): Record<string, Json> {
  const missing = detail?.['missing']
  // The guard of the network makes a list of texts.
  return Array.isArray(missing) ? { missing: missing as string[] } : {}
}

/** A process that could not be started at all. */
export function openFailure(name: ServerName, error: OpenProcessError): McpFailure {
  if (error.code !== 'EXECUTION_FAILED')
    return new McpFailure(error.code, error.message, { detail: { server: name.server }, cause: error })
  const remediation = 'Check `command`, `args` and `program`.'
  return connectionFailure(name, { cause: error.code, how: error.message, retryable: false, remediation })
}

/** The first error of a chain of causes that one of our own primitives made. */
export function ownCause(error: unknown): GuardedFetchError | OpenProcessError | McpFailure | null {
  let found: unknown = error
  for (let depth = 0; depth < 8 && found instanceof Error; depth += 1) {
    if (found instanceof GuardedFetchError || found instanceof OpenProcessError || found instanceof McpFailure) return found
    found = 'data' in found && found.data instanceof Error ? found.data : found.cause
  }
  return null
}
