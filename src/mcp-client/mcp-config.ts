import type { Json, JsonObject } from '../json.ts'
import { type ConfigIssue, type ConfigReader, createConfigReader } from '../primitives/http-client/config-reader.ts'
import { type McpAuth, McpFailure } from './contract.ts'
import { readAuth, readHeaders } from './mcp-headers.ts'

/** A call of an external server, checked and with every default in place. Durations are milliseconds. */
export interface McpCallConfig {
  readonly server: string
  readonly target: McpTargetConfig
  readonly era: 'auto' | 'legacy' | 'modern' | undefined
  readonly request: McpRequest
  readonly connectTimeoutMs: number
  readonly timeoutMs: number
  readonly maxMessageBytes: number
  readonly maxConcurrency: number
  readonly idleMs: number
  readonly retry: McpRetry
}

export type McpTargetConfig =
  | {
      readonly kind: 'http'
      readonly url: string
      readonly headers: Readonly<Record<string, string>>
      readonly auth: McpAuth | null
    }
  | {
      readonly kind: 'stdio'
      /** Fields of the `subprocess` primitive, which checks them. */
      readonly process: JsonObject
      readonly program: readonly string[] | undefined
    }

export type McpRequest =
  /** The caller's parameters are the arguments. `pinnedHash` null: any definition will do. */
  | { readonly kind: 'tool'; readonly name: string; readonly pinnedHash: string | null }
  | { readonly kind: 'method'; readonly method: McpMethod; readonly params: JsonObject | undefined }

export interface McpRetry {
  readonly maxAttempts: number
  /** Before the second attempt, the third, …; the last counts for all further ones. */
  readonly backoffMs: readonly number[]
  readonly retriesConnections: boolean
}

export type McpMethod = (typeof MCP_METHODS)[number]

/** What may be asked of a server. Everything else (subscriptions, logging, completion) has no answer that a call could give. */
export const MCP_METHODS = [
  'tools/list',
  'tools/call',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'prompts/list',
  'prompts/get',
  'ping',
] as const

const RPC_FIELDS = [
  'protocol',
  'server',
  'era',
  'program',
  'auth',
  'method',
  'params',
  'mcp_tool',
  'upstream_hash',
  'connect_timeout_ms',
  'timeout_ms',
  'max_message_bytes',
  'max_concurrency',
  'idle_ms',
]
/** Fields of the primitives that say nothing to a server; left unsaid, they would be thought to. */
const USELESS = { http: ['path', 'query', 'body', 'stream'], stdio: ['stdin'] } as const
const PROCESS_FIELDS = ['command', 'args', 'env', 'env_allow', 'cwd', 'limits']
/** As a signing key of a connector has it. */
const SERVER = /^[a-z0-9][a-z0-9_.-]{0,63}$/
const HASH = /^sha256:[0-9a-f]{64}$/
const MAX_NAME_CHARACTERS = 512
const MAX_CONNECT_MS = 600_000
const DAY_MS = 86_400_000
const MIB = 1024 * 1024

/**
 * Reads the rendered configuration of a tool that speaks MCP; in `rpc`, null is as good as absent.
 *
 * @throws {McpFailure} CONFIG_VALIDATION_ERROR {validation_errors: [{field, error}]}, naming every field that is wrong. Values are not told:
 * they may be secrets.
 */
export function readMcpConfig(config: JsonObject, kind: 'http' | 'stdio'): McpCallConfig {
  const issues: ConfigIssue[] = []
  const root = createConfigReader(config, '', issues)
  const rpc = createConfigReader({ rpc: withoutNulls(root.value('rpc')) }, '', issues).object('rpc', RPC_FIELDS)
  for (const field of USELESS[kind])
    if (isGiven(root.value(field))) issues.push({ field, error: 'says nothing to an MCP server; leave it out' })
  const read: McpCallConfig = {
    server: readServer(rpc, issues),
    target: kind === 'http' ? readHttp(root, rpc, issues) : readStdio(root, rpc, issues),
    era: rpc.has('era') ? rpc.oneOf<'auto' | 'legacy' | 'modern'>('era', ['auto', 'legacy', 'modern'], 'auto') : undefined,
    request: readRequest(rpc, issues),
    connectTimeoutMs: rpc.integer('connect_timeout_ms', 30_000, { min: 1, max: MAX_CONNECT_MS }),
    timeoutMs: rpc.integer('timeout_ms', defaultTimeoutMs(root, kind), { min: 1, max: DAY_MS }),
    maxMessageBytes: rpc.integer('max_message_bytes', 10 * MIB, { min: 1024, max: 128 * MIB }),
    maxConcurrency: rpc.integer('max_concurrency', 4, { min: 1, max: 64 }),
    idleMs: rpc.integer('idle_ms', 60_000, { min: 0, max: DAY_MS }),
    retry: readRetry(root),
  }
  if (issues.length > 0) throw invalid(read.server, issues)
  return read
}

function readServer(rpc: ConfigReader, issues: ConfigIssue[]): string {
  const server = rpc.value('server')
  if (typeof server === 'string' && SERVER.test(server)) return server
  const error = 'must be the name of a server: lower-case letters, digits, "_", "." and "-", at most 64, a letter or digit first'
  issues.push({ field: 'rpc.server', error })
  return ''
}

function readHttp(root: ConfigReader, rpc: ConfigReader, issues: ConfigIssue[]): McpTargetConfig {
  if (rpc.has('program')) issues.push({ field: 'rpc.program', error: 'is for servers that are started, not for a URL' })
  const url = root.value('url')
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol) || parsed.username !== '' || parsed.password !== '')
    issues.push({ field: 'url', error: 'must be an http or https URL without user and password; credentials belong in rpc.auth' })
  const auth = readAuth(rpc.value('auth'), issues)
  return { kind: 'http', url: String(url), headers: readHeaders(root.value('headers'), auth, issues), auth }
}

function readStdio(root: ConfigReader, rpc: ConfigReader, issues: ConfigIssue[]): McpTargetConfig {
  if (rpc.has('auth'))
    issues.push({ field: 'rpc.auth', error: 'is for servers with a URL; give a process its credentials in env' })
  const given = PROCESS_FIELDS.map((field) => [field, root.value(field)] as const).filter(([, value]) => isGiven(value))
  const program = rpc.array('program')
  if (!program.every((path) => typeof path === 'string' && path !== ''))
    issues.push({ field: 'rpc.program', error: 'must be a list of files and folders of the project' })
  return {
    kind: 'stdio',
    // They came out of a JSON configuration.
    process: Object.fromEntries(given) as JsonObject,
    program: rpc.has('program') ? program.map(String) : undefined,
  }
}

function readRequest(rpc: ConfigReader, issues: ConfigIssue[]): McpRequest {
  const report = (field: string, error: string): void => void issues.push({ field: `rpc.${field}`, error })
  const method = rpc.has('method') ? rpc.oneOf('method', MCP_METHODS, 'ping') : undefined
  const params = rpc.value('params')
  if (params !== undefined && !isMap(params)) report('params', 'must be an object')
  const hash = rpc.value('upstream_hash')
  if (!rpc.has('mcp_tool')) {
    if (method === undefined && !rpc.has('method')) report('method', `must be one of ${MCP_METHODS.join(', ')}`)
    if (hash !== undefined) report('upstream_hash', 'goes with mcp_tool')
    if (method === 'tools/list' && isMap(params) && Object.keys(params).length > 0)
      report('params', 'must be absent for tools/list, which gives all pages')
    return { kind: 'method', method: method ?? 'ping', params: isMap(params) ? params : undefined }
  }
  const name = rpc.value('mcp_tool')
  if (typeof name !== 'string' || name === '' || name.length > MAX_NAME_CHARACTERS)
    report('mcp_tool', `must be the server's name of the tool, of at most ${MAX_NAME_CHARACTERS} characters`)
  if (method !== undefined && method !== 'tools/call') report('method', 'must be tools/call, or absent, beside mcp_tool')
  if (params !== undefined) report('params', 'must be absent beside mcp_tool: its arguments are the parameters of the call')
  if (hash !== undefined && (typeof hash !== 'string' || !HASH.test(hash)))
    report('upstream_hash', 'must be sha256: and 64 hex digits')
  return { kind: 'tool', name: String(name), pinnedHash: typeof hash === 'string' ? hash : null }
}

/** A tool over `subprocess` says its time where every such tool does. */
function defaultTimeoutMs(root: ConfigReader, kind: 'http' | 'stdio'): number {
  return kind === 'stdio' ? root.integer('timeout_ms', 60_000, { min: 1, max: DAY_MS }) : 60_000
}

function readRetry(root: ConfigReader): McpRetry {
  const retry = root.object('retry', ['max_attempts', 'backoff_ms', 'retryable_errors', 'max_retry_after_ms'])
  const backoff = retry.array('backoff_ms').map((ms) => (typeof ms === 'number' && ms >= 0 ? Math.min(ms, DAY_MS) : 0))
  return {
    maxAttempts: retry.integer('max_attempts', 1, { min: 1, max: 100 }),
    backoffMs: backoff.length === 0 ? [500, 1000, 2000, 4000, 8000] : backoff,
    retriesConnections: !retry.has('retryable_errors') || retry.array('retryable_errors').includes('MCP_CONNECTION_FAILED'),
  }
}

function invalid(server: string, issues: readonly ConfigIssue[]): McpFailure {
  const errors = issues.map(({ field, error }) => ({ field, error }))
  const summary = errors.map(({ field, error }) => `${field} ${error}`).join('; ')
  return new McpFailure(
    'CONFIG_VALIDATION_ERROR',
    `The MCP server${server === '' ? '' : ` "${server}"`} cannot be called: ${summary}.`,
    {
      detail: { server, validation_errors: errors },
      suggestion: 'Correct the tool file, or the parameters that it passes on.',
    },
  )
}

function withoutNulls(value: unknown): unknown {
  return isMap(value) ? Object.fromEntries(Object.entries(value).filter(([, child]) => child !== null)) : value
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null
}

function isMap(value: unknown): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
