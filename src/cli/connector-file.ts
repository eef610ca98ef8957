import { stringify } from 'yaml'
import { isServerName } from '../capabilities/keys/trust-store.ts'
import { collectSecrets } from '../capabilities/secrets/secret-registry.ts'
import type { Environment } from '../config/environment.ts'
import { readConnectorConfig } from '../connectors/connector-config.ts'
import type { JsonObject } from '../json.ts'
import { KiwiError } from '../kernel/errors.ts'

/** What `kiwi connect add` was told, as it was typed. */
export interface ConnectorRequest {
  /** Of the server. */
  readonly name: string
  /** One URL, or a command with its arguments. */
  readonly target: readonly string[]
  readonly bearerEnv?: string
  readonly header: readonly string[]
  readonly env: readonly string[]
  readonly program: readonly string[]
  readonly cwd?: string
  readonly prefix?: string
  readonly tools: readonly string[]
  readonly capability: readonly string[]
  readonly era?: string
}

export interface ConnectorFile {
  readonly connectorId: string
  /** Relative to the project. */
  readonly file: string
  /** Unsigned YAML. */
  readonly text: string
}

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/

/**
 * The connector file that a command line asks for.
 *
 * @throws {KiwiError} INVALID_REQUEST, also where a secret of the environment would be written out; CONFIG_VALIDATION_ERROR naming each field.
 */
export function connectorFile(request: ConnectorRequest, environment: Environment): ConnectorFile {
  const { name } = request
  if (!isServerName(name)) {
    throw invalid(
      `Expected the name of a server, got ${JSON.stringify(name)}.`,
      'Use lower-case letters, digits, "_", "-" and ".".',
    )
  }
  const connectorId = `${name}_connector`
  const config = configOf(request)
  const text = stringify(
    {
      tool_id: connectorId,
      tool_type: 'mcp_connector',
      version: '1.0.0',
      executor_id: 'mcp_connector',
      description: `Write the tools of the MCP server ${name} as signed files, and bring them up to date.`,
      effect: 'idempotent',
      requires: [{ cap: 'mcp.connect', scope: { server: name } }],
      config,
    },
    { version: '1.2', schema: 'core', aliasDuplicateObjects: false, lineWidth: 120 },
  )
  assertNoSecret(text, environment)
  assertNoneTyped(request)
  assertConfig(connectorId, config)
  return { connectorId, file: `.ai/tools/mcp/${name}/${connectorId}.yaml`, text }
}

/** No file was written yet, so what is wrong is told of the command line. */
function assertConfig(connectorId: string, config: JsonObject): void {
  try {
    readConnectorConfig(connectorId, config)
  } catch (error) {
    if (!(error instanceof KiwiError)) throw error
    const problem = error.message
      .replace(/^The connector ".*?" cannot be used: /s, '')
      .replaceAll(/config\.(\w+)/g, (field, name: string) => OPTION_OF.get(name) ?? field)
    throw invalid(`No connector can be made of this: ${problem}`, 'See kiwi connect add --help.')
  }
}

const OPTION_OF: ReadonlyMap<string, string> = new Map([
  ['mcp_url', 'the URL'],
  ['command', 'the command'],
  ['args', 'the command'],
  ['auth', '--bearer-env'],
  ['headers', '--header'],
  ['env', '--env'],
  ['cwd', '--cwd'],
  ['program', '--program'],
  ['tool_prefix', '--prefix'],
  ['tools', '--tools'],
  ['capabilities', '--capability'],
])

function configOf(request: ConnectorRequest): JsonObject {
  const { name, prefix, tools, capability, era } = request
  return {
    ...(isUrl(request.target) ? httpConfig(request) : stdioConfig(request)),
    server: name,
    output_dir: `.ai/tools/mcp/${name}`,
    tool_prefix: prefix ?? `${name}_`,
    ...(era === undefined ? {} : { era }),
    ...(tools.length === 0 ? {} : { tools }),
    ...(capability.length === 0 ? {} : { capabilities: capabilitiesOf(capability) }),
  }
}

/** Whether a server is reached over HTTP; else it is a command. */
export function isUrl(target: readonly string[]): boolean {
  return target.length === 1 && /^(?:https?:\/\/|\$\{)/i.test(target[0] ?? '')
}

function httpConfig({ target, bearerEnv, header, env, program, cwd }: ConnectorRequest): JsonObject {
  if (env.length > 0 || program.length > 0 || cwd !== undefined) {
    throw invalid(
      '--env, --program and --cwd are for a server that is started by a command.',
      'A URL takes --bearer-env and --header.',
    )
  }
  if (bearerEnv !== undefined && !VARIABLE.test(bearerEnv)) {
    throw invalid('--bearer-env takes the name of a variable, not its value.', 'Such as: --bearer-env GITHUB_TOKEN')
  }
  return {
    mcp_url: target[0] ?? '',
    ...(bearerEnv === undefined ? {} : { auth: { type: 'bearer', token: `\${${bearerEnv}}` } }),
    ...(header.length === 0 ? {} : { headers: Object.fromEntries(header.map(headerOf)) }),
  }
}

function headerOf(line: string): readonly [string, string] {
  const at = line.indexOf(':')
  if (at > 0) return [line.slice(0, at).trim(), line.slice(at + 1).trim()]
  throw invalid(`Expected a header as 'Name: value', got ${JSON.stringify(line)}.`, "Such as: --header 'X-Key: ${API_KEY}'")
}

function stdioConfig({ target, bearerEnv, header, env, program, cwd }: ConnectorRequest): JsonObject {
  if (bearerEnv !== undefined || header.length > 0) {
    throw invalid('--bearer-env and --header are for a server with a URL.', 'A command takes --env.')
  }
  const [command = '', ...args] = target
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(command)) {
    throw invalid(
      `Expected a URL of http or https, or a command, got ${JSON.stringify(command)}.`,
      'Such as: https://mcp.example.com/mcp',
    )
  }
  return {
    command,
    ...(args.length === 0 ? {} : { args }),
    ...(env.length === 0 ? {} : { env: Object.fromEntries(env.map(variableOf)) }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(program.length === 0 ? {} : { program }),
  }
}

/** A name alone passes the variable on. */
function variableOf(assignment: string): readonly [string, string] {
  const at = assignment.indexOf('=')
  const [name, value] = at === -1 ? [assignment, `\${${assignment}}`] : [assignment.slice(0, at), assignment.slice(at + 1)]
  if (VARIABLE.test(name)) return [name, value]
  throw invalid(`Expected NAME=VALUE, got ${JSON.stringify(assignment)}.`, "Such as: --env 'API_KEY=${MY_KEY}'")
}

/** In the order that they were given: the first that fits counts. */
function capabilitiesOf(given: readonly string[]): JsonObject {
  const map = new Map<string, readonly string[]>()
  for (const entry of given) {
    const at = entry.indexOf('=')
    const ids = entry
      .slice(at + 1)
      .split(',')
      .map((id) => id.trim())
    if (at < 1 || ids.includes('')) {
      throw invalid(`Expected PATTERN=CAPABILITY,…, got ${JSON.stringify(entry)}.`, 'Such as: --capability execute_sql=db.query')
    }
    const pattern = entry.slice(0, at)
    map.set(pattern, [...(map.get(pattern) ?? []), ...ids])
  }
  return Object.fromEntries(map)
}

/** A shell that expands `${TOKEN}` in double quotes hands the secret itself over. */
function assertNoSecret(text: string, environment: Environment): void {
  const found = collectSecrets({ env: environment, names: [] }).find(({ value }) => text.includes(value))
  if (found === undefined) return
  throw invalid(
    `The value of ${found.name} would be written into the connector file.`,
    `Write '\${${found.name}}' in single quotes: it is looked up when the server is called.`,
  )
}

/** A secret that was typed out would lie in a file that is shared, and that threads read. */
function assertNoneTyped({ header, env }: ConnectorRequest): void {
  for (const [name, value] of header.map(headerOf)) {
    const isCredential = /^(?:proxy-)?authorization$|^cookie$/i.test(name)
    if (!isTypedSecret(name, value, isCredential)) continue
    throw typed(`header ${name}`, `--header '${name}: ${/^bearer /i.test(value) ? 'Bearer ' : ''}\${MY_SECRET}'`)
  }
  for (const [name, value] of env.map(variableOf))
    if (isTypedSecret(name, value, false)) throw typed(`variable ${name}`, `--env '${name}=\${MY_SECRET}'`)
}

function isTypedSecret(name: string, value: string, isCredential: boolean): boolean {
  return !value.includes('${') && collectSecrets({ env: { [name]: value }, names: isCredential ? [name] : [] }).length > 0
}

function typed(what: string, option: string): KiwiError {
  return invalid(
    `The ${what} holds a secret, which would be written into the connector file.`,
    `Put it into a variable of your environment and name that, in single quotes: ${option}`,
  )
}

function invalid(message: string, suggestion: string): KiwiError {
  return new KiwiError('INVALID_REQUEST', message, { suggestion })
}
