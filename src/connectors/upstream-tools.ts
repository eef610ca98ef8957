import { setTimeout as delay } from 'node:timers/promises'
import type { Redactor } from '../capabilities/contract.ts'
import { createRedactor } from '../capabilities/secrets/redactor.ts'
import { collectSecrets } from '../capabilities/secrets/secret-registry.ts'
import type { Json, JsonObject } from '../json.ts'
import type { ExecutionContext } from '../kernel/chain/primitive.ts'
import type { Kernel, KernelOptions } from '../kernel/contract.ts'
import { type ErrorBody, type ErrorCode, KiwiError } from '../kernel/errors.ts'
import { TemplateError } from '../kernel/template/placeholder.ts'
import { compileTemplate } from '../kernel/template/template.ts'
import type { UpstreamTool } from '../mcp-client/contract.ts'
import { isList, isMap } from './config-fields.ts'
import type { ConnectorConfig } from './contract.ts'

export interface ListRequest {
  readonly connectorId: string
  readonly connector: ConnectorConfig
  /** Of the connector file: `max_attempts`, `backoff_ms`, `retryable_errors`. */
  readonly retry: JsonObject | null
  readonly context: ExecutionContext
}

export interface ListPorts {
  readonly execute: Kernel['execute']
  /** Looks up `${NAME}` for the caller of the context; what it gives lives in memory only. */
  readonly env: KernelOptions['env']
}

/** What a server offers, unchecked but for its shape. */
export interface UpstreamList {
  readonly tools: readonly UpstreamTool[]
  /** What was in the list and is no tool. */
  readonly warnings: readonly string[]
  /** Knows the secrets that the server was told: it may repeat them wherever its words are shown. */
  readonly told: Pick<Redactor, 'find' | 'json'>
}

/** Far more than any server has; each becomes a file. */
const MAX_TOOLS = 1_000

/**
 * All tools of the connector's server, asked for through the shipped tools `mcp_http` and `mcp_stdio`, so that what the caller may do holds
 * on the way.
 *
 * @throws {KiwiError} MCP_CONNECTION_FAILED, MCP_PROTOCOL_VIOLATION and what else the call ends with; CONFIG_VALIDATION_ERROR for a variable
 *   that is not set; LIMIT_EXCEEDED.
 */
export async function listUpstreamTools(ports: ListPorts, request: ListRequest): Promise<UpstreamList> {
  const call = callOf(ports, request)
  const { maxAttempts, backoffMs, isRetryable } = retryOf(request.retry)
  for (let attempt = 1; ; attempt += 1) {
    const answer = await ports.execute(call.request, call.context)
    if (answer.success) return { ...parseList(request, answer['result']), told: call.told }
    // Its errors hold words of the server; they are data, with texts in the place of texts.
    const failure = failureOf(call.told.json(answer.error as unknown as JsonObject) as unknown as ErrorBody)
    if (attempt >= maxAttempts || !isRetryable(failure)) throw failure
    await waited(backoffMs(attempt), request.context.signal)
  }
}

function callOf(
  { env }: ListPorts,
  { connectorId, connector, context }: ListRequest,
): {
  readonly request: Parameters<Kernel['execute']>[0]
  readonly context: ExecutionContext
  readonly told: UpstreamList['told']
} {
  const { server, transport, era } = connector
  const written: JsonObject =
    transport.kind === 'http'
      ? { mcp_url: transport.mcpUrl, headers: transport.headers, ...(transport.auth === null ? {} : { auth: transport.auth }) }
      : { command: transport.command, args: transport.args, env: transport.env, cwd: transport.cwd }
  const told = new Map<string, string>()
  const secretNames = new Set<string>()
  const { mcp_url: url, ...rest } = rendered(connectorId, written, (name, path) => {
    const value = env(name, context, { path })
    if (value !== undefined) told.set(name, value)
    if (isSecretPlace(path)) secretNames.add(name)
    return value
  })
  const shared = { server, ...rest, ...(era === null ? {} : { era }) }
  const parameters: JsonObject =
    transport.kind === 'http' ? { ...shared, url: url ?? '', rpc_method: 'tools/list' } : { ...shared, method: 'tools/list' }
  return {
    request: { item_type: 'tool', item_id: transport.kind === 'http' ? 'mcp_http' : 'mcp_stdio', parameters },
    context: transport.kind === 'stdio' && transport.program.length > 0 ? { ...context, __program: transport.program } : context,
    told: createRedactor(collectSecrets({ env: Object.fromEntries(told), names: [...secretNames] })),
  }
}

/** As the redaction of results has it: what a server is told in these fields is for it alone, whatever the variable is called. */
function isSecretPlace([top]: readonly (string | number)[]): boolean {
  return top === 'auth' || top === 'headers' || top === 'env'
}

function rendered(
  connectorId: string,
  written: JsonObject,
  env: (name: string, path: readonly (string | number)[]) => string | undefined,
): JsonObject {
  try {
    return compileTemplate(written).render({ parameters: {}, isOptional: () => false, env })
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    const field = `config.${error.path.join('.')}`
    throw new KiwiError('CONFIG_VALIDATION_ERROR', `The connector "${connectorId}" cannot run: ${error.message}`, {
      error,
      failedAt: { tool_id: connectorId, config_path: field, validation_errors: [{ field, error: error.message }] },
    })
  }
}

/** Codes of the call of the server that say more than that a tool failed. */
const SURFACED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'TIMEOUT',
  'ABORTED',
  'LIMIT_EXCEEDED',
  'PERMISSION_DENIED',
  'ADDRESS_DENIED',
  'SANDBOX_UNAVAILABLE',
])

function failureOf({ code, message, chain, failed_at, cause, retryable, suggestion, ...facts }: ErrorBody): KiwiError {
  const surfaced = code === 'EXECUTION_FAILED' && cause !== null && SURFACED.has(cause.code) ? cause : { code, message }
  return new KiwiError(surfaced.code, surfaced.message, {
    chain,
    ...(failed_at === null ? {} : { failedAt: failed_at }),
    cause,
    retryable,
    ...(suggestion === null ? {} : { suggestion }),
    // Facts of an error are plain data; their type in the envelope is only wider.
    facts: facts as Readonly<Record<string, Json>>,
  })
}

const MAX_ATTEMPTS = 10
const MAX_WAIT_MS = 60_000
const DEFAULT_WAIT_MS = 1_000

function retryOf(retry: JsonObject | null): {
  readonly maxAttempts: number
  readonly backoffMs: (attempt: number) => number
  readonly isRetryable: (error: KiwiError) => boolean
} {
  const attempts = retry?.['max_attempts']
  const backoff = retry?.['backoff_ms']
  const codes = retry?.['retryable_errors']
  const waits = isList(backoff) ? backoff.filter((one): one is number => typeof one === 'number' && one >= 0) : []
  return {
    maxAttempts: typeof attempts === 'number' ? Math.min(Math.max(attempts, 1), MAX_ATTEMPTS) : 1,
    backoffMs: (attempt) => Math.min(waits[attempt - 1] ?? waits.at(-1) ?? DEFAULT_WAIT_MS, MAX_WAIT_MS),
    isRetryable: ({ code, context }) => context.retryable === true && (!isList(codes) || codes.includes(code)),
  }
}

async function waited(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal })
  } catch (error) {
    throw new KiwiError('ABORTED', 'Waiting to connect again was cancelled.', { error })
  }
}

function parseList({ connectorId, connector }: ListRequest, value: unknown): Omit<UpstreamList, 'told'> {
  // The kernel's results are plain data.
  const listed = isMap(value as Json) ? (value as JsonObject)['tools'] : undefined
  if (!isList(listed)) {
    throw new KiwiError('MCP_PROTOCOL_VIOLATION', `The server "${connector.server}" answered tools/list with no list of tools.`, {
      facts: { server: connector.server },
    })
  }
  if (listed.length > MAX_TOOLS) {
    throw new KiwiError(
      'LIMIT_EXCEEDED',
      `The server "${connector.server}" lists ${listed.length} tools; at most ${MAX_TOOLS} are taken.`,
      {
        facts: { server: connector.server, connector: connectorId },
      },
    )
  }
  const tools = listed.filter(isUpstreamTool)
  const odd = listed.length - tools.length
  return { tools, warnings: odd === 0 ? [] : [`${odd} entries of the server's list are no tools and were left out.`] }
}

function isUpstreamTool(entry: Json): entry is Json & UpstreamTool {
  if (!isMap(entry)) return false
  const { name, title = '', description = '', inputSchema, outputSchema = {}, annotations = {} } = entry
  return (
    typeof name === 'string' &&
    [title, description].every((one) => typeof one === 'string') &&
    [inputSchema, outputSchema, annotations].every(isMap)
  )
}
