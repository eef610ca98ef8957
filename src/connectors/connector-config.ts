import { isServerName } from '../capabilities/keys/trust-store.ts'
import type { Json, JsonObject } from '../json.ts'
import { KiwiError } from '../kernel/errors.ts'
import { TemplateError } from '../kernel/template/placeholder.ts'
import { compileTemplate } from '../kernel/template/template.ts'
import { parseRelativePath } from '../primitives/files/relative-path.ts'
import { type ConfigFields, createConfigFields, isList, isMap } from './config-fields.ts'
import type { ConnectorConfig } from './contract.ts'
import { describeCommand } from '../mcp-client/session/endpoint.ts'

const SHARED = ['server', 'era', 'output_dir', 'tool_prefix', 'tools', 'capabilities', 'timeout_ms', 'retry']
const OVER_HTTP = ['mcp_url', 'headers', 'auth']
const OVER_STDIO = ['command', 'args', 'env', 'cwd', 'program']
const ERAS = ['auto', 'legacy', 'modern'] as const
const TOOLS_FOLDER = '.ai/tools'
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Folders and prefixes become parts of ids, of signatures and of what a person approves. */
const FOLDER = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/
const PREFIX = /^[a-z0-9][a-z0-9_.-]{0,79}$/
const PATTERN = /^[\u0021-\u007e]{1,128}$/
const CAPABILITY = /^[A-Za-z][\w-]*(\.[\w-]+)+$/
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/

/**
 * The checked configuration of a connector file, from its `config` as written: `${NAME}` stays what it is.
 *
 * @throws {KiwiError} CONFIG_VALIDATION_ERROR naming every wrong field.
 */
export function readConnectorConfig(connectorId: string, config: JsonObject): ConnectorConfig {
  const fields = createConfigFields(connectorId, config)
  const server = readServer(connectorId, fields)
  const isHttp = fields.at('mcp_url') !== undefined
  if (isHttp === (fields.at('command') !== undefined)) fields.wrong('mcp_url', 'or `command` must be given, and not both of them')
  const own = isHttp ? OVER_HTTP : OVER_STDIO
  const foreign = (isHttp ? OVER_STDIO : OVER_HTTP).filter((name) => name !== 'command' && name !== 'mcp_url')
  for (const name of foreign)
    if (fields.at(name) !== undefined)
      fields.wrong(name, `belongs to a server that is reached by ${isHttp ? 'command' : 'mcp_url'}`)
  const timeoutMs = fields.at('timeout_ms')
  if (timeoutMs !== undefined && !(Number.isInteger(timeoutMs) && Number(timeoutMs) > 0))
    fields.wrong('timeout_ms', 'must be a whole number of milliseconds', timeoutMs)
  fields.onlyKnown([...SHARED, ...own, ...foreign, 'mcp_url', 'command'])
  checkTemplates(fields)
  const read: ConnectorConfig = {
    server,
    transport: isHttp ? readHttp(fields) : readStdio(fields),
    era: readEra(fields),
    outputDir: readOutputDir(server, fields),
    toolPrefix: readPrefix(server, fields),
    capabilities: readCapabilities(fields),
    tools: readPatterns('tools', fields.texts('tools'), fields),
  }
  fields.assertRight()
  return read
}

/** Category of the generated tools: the folder below `.ai/tools/`. */
export function categoryOf({ outputDir }: Pick<ConnectorConfig, 'outputDir'>): string {
  return outputDir.slice(TOOLS_FOLDER.length + 1)
}

/** The server for messages: its URL without query and credentials, or its command with the first arguments. */
export function endpointOf({ transport }: Pick<ConnectorConfig, 'transport'>): string {
  if (transport.kind === 'http') return transport.mcpUrl.replace(/[?#].*$/s, '').replace(/\/\/[^/]*@/, '//')
  return describeCommand(transport.command, transport.args)
}

/**
 * Refuses servers whose tools could be taken for each other's: ids begin with the name of their server and `_`, so `a` and `a_b` may not
 * both be names, and neither may two connectors have one.
 *
 * @throws {KiwiError} CONFIG_VALIDATION_ERROR naming both.
 */
export function assertDistinct(
  own: { readonly connectorId: string; readonly server: string },
  others: readonly { readonly connectorId: string | null; readonly server: string }[],
): void {
  for (const other of others) {
    const isSame = other.server === own.server
    if (isSame ? other.connectorId === null || other.connectorId === own.connectorId : !areAmbiguous(own.server, other.server))
      continue
    const whose = other.connectorId === null ? 'a server you connected before' : `that of "${other.connectorId}"`
    const message = isSame
      ? `The server "${own.server}" is also ${whose}.`
      : `The server names "${own.server}" and "${other.server}" (${whose}) are ambiguous: ids of the tools of both could begin alike.`
    throw new KiwiError('CONFIG_VALIDATION_ERROR', `The connector "${own.connectorId}" cannot be used: ${message}`, {
      failedAt: {
        tool_id: own.connectorId,
        config_path: 'config.server',
        validation_errors: [{ field: 'config.server', error: message, value: own.server }],
      },
      suggestion: 'Give one of them another name, or remove the one that is not needed: kiwi connect remove NAME',
    })
  }
}

function areAmbiguous(one: string, other: string): boolean {
  return [[one, other] as const, [other, one] as const].some(([short, long]) => /^[_.]/.test(restAfter(long, short)))
}

function restAfter(text: string, start: string): string {
  return text.startsWith(start) ? text.slice(start.length) : ''
}

function readServer(connectorId: string, fields: ConfigFields): string {
  const given = fields.text('server')
  const server = given ?? connectorId.replace(/_connector$/, '')
  if (!isServerName(server)) {
    const how = given === null ? 'must be given: the id of the connector is no name of a server. It ' : ''
    fields.wrong('server', `${how}must be of lower-case letters, digits, "_", "-" and "."`, server)
  }
  return server
}

function readHttp(fields: ConfigFields): ConnectorConfig['transport'] {
  const mcpUrl = fields.text('mcp_url') ?? ''
  if (mcpUrl !== '') checkUrl(mcpUrl, fields)
  const headers = fields.map('headers')
  for (const [name, value] of Object.entries(headers)) {
    if (!HEADER_NAME.test(name)) fields.wrong(`headers.${name}`, 'is not the name of a header')
    if (typeof value !== 'string') fields.wrong(`headers.${name}`, 'must be text', value)
  }
  return { kind: 'http', mcpUrl, headers, auth: readAuth(fields) }
}

function checkUrl(text: string, fields: ConfigFields): void {
  // What the environment says is checked when it is known.
  if (text.startsWith('${')) return
  const url = URL.parse(text.replaceAll(/\$\{[^}]*\}/g, 'x'))
  if (url === null || !/^https?:$/.test(url.protocol)) return fields.wrong('mcp_url', 'must be an http or https URL', text)
  if (url.username !== '' || url.password !== '') fields.wrong('mcp_url', 'must hold no credentials; write them under `auth`')
}

function readAuth(fields: ConfigFields): JsonObject | null {
  const auth = fields.map('auth')
  if (Object.keys(auth).length === 0) return null
  const needed = auth['type'] === 'bearer' ? ['token'] : auth['type'] === 'header' ? ['name', 'value'] : null
  if (needed === null) {
    fields.wrong('auth.type', 'must be bearer (with `token`) or header (with `name` and `value`)', auth['type'] ?? null)
    return null
  }
  for (const name of needed) {
    const value = auth[name]
    if (typeof value !== 'string' || value === '')
      fields.wrong(`auth.${name}`, name === 'name' ? 'must be text' : 'must be text, such as ${API_TOKEN}')
  }
  if (typeof auth['name'] === 'string' && !HEADER_NAME.test(auth['name']))
    fields.wrong('auth.name', 'is not the name of a header')
  for (const name of Object.keys(auth))
    if (name !== 'type' && !needed.includes(name)) fields.wrong(`auth.${name}`, 'does not belong to this type of `auth`')
  return auth
}

function readStdio(fields: ConfigFields): ConnectorConfig['transport'] {
  const args = fields.at('args') ?? []
  if (!isList(args) || !args.every((one) => ['string', 'number', 'boolean'].includes(typeof one)))
    fields.wrong('args', 'must be a list of texts', args)
  const env = fields.map('env')
  for (const [name, value] of Object.entries(env)) {
    if (!VARIABLE.test(name)) fields.wrong(`env.${name}`, 'is not the name of a variable')
    if (!['string', 'number', 'boolean'].includes(typeof value)) fields.wrong(`env.${name}`, 'must be text', value)
  }
  const cwd = fields.text('cwd') ?? '.'
  checkPath('cwd', cwd, fields)
  const program = fields.texts('program') ?? []
  for (const [index, path] of program.entries()) checkPath(`program[${index}]`, path, fields)
  return {
    kind: 'stdio',
    command: fields.text('command') ?? '',
    args: isList(args) ? args.map(String) : [],
    env,
    cwd,
    program,
  }
}

function checkPath(field: string, path: string, fields: ConfigFields): void {
  try {
    parseRelativePath(path)
  } catch (error) {
    fields.wrong(
      field,
      `must be a path in the project: ${error instanceof Error ? error.message : String(error)}`.replace(/\.$/, ''),
    )
  }
}

function readEra(fields: ConfigFields): ConnectorConfig['era'] {
  const given = fields.text('era')
  if (given === null) return null
  const era = ERAS.find((known) => known === given)
  if (era === undefined) fields.wrong('era', `must be ${ERAS.join(', ')}`, given)
  return era ?? null
}

function readOutputDir(server: string, fields: ConfigFields): string {
  const given = fields.text('output_dir')?.replace(/\/+$/, '') ?? `${TOOLS_FOLDER}/mcp/${server}`
  const folders = given.startsWith(`${TOOLS_FOLDER}/`) ? given.slice(TOOLS_FOLDER.length + 1).split('/') : []
  if (folders.length === 0 || !folders.every((name) => FOLDER.test(name) && name !== 'node_modules'))
    fields.wrong('output_dir', `must be a folder below ${TOOLS_FOLDER}/, without ".."`, given)
  return given
}

function readPrefix(server: string, fields: ConfigFields): string {
  const given = fields.text('tool_prefix')
  const prefix = given ?? `${server}_`
  // What is wrong with the name of the server is said of that.
  if (given === null) return prefix
  if (!prefix.startsWith(`${server}_`))
    fields.wrong('tool_prefix', `must begin with "${server}_", for which its key is trusted`, prefix)
  else if (!PREFIX.test(prefix))
    fields.wrong('tool_prefix', 'must be of lower-case letters, digits, "_", "-" and ".", at most 80 of them', prefix)
  return prefix
}

function readCapabilities(fields: ConfigFields): ConnectorConfig['capabilities'] {
  const map = fields.map('capabilities')
  readPatterns('capabilities', Object.keys(map), fields)
  return Object.entries(map).map(([pattern, requires]) => {
    if (isList(requires) && requires.every(isRequirement)) return { pattern, requires }
    fields.wrong(`capabilities.${pattern}`, 'must be a list of capabilities, such as [db.query]', requires)
    return { pattern, requires: [] }
  })
}

function isRequirement(entry: Json): entry is string | JsonObject {
  if (typeof entry === 'string') return CAPABILITY.test(entry)
  if (!isMap(entry) || typeof entry['cap'] !== 'string' || !CAPABILITY.test(entry['cap'])) return false
  if (Object.keys(entry).some((key) => key !== 'cap' && key !== 'scope')) return false
  const { scope = {} } = entry
  return isMap(scope) && Object.values(scope).every((value) => typeof value === 'string')
}

/** Exact, or a beginning followed by `*`. */
function readPatterns<Patterns extends readonly string[] | null>(
  field: string,
  patterns: Patterns,
  fields: ConfigFields,
): Patterns {
  for (const pattern of patterns ?? []) {
    if (!PATTERN.test(pattern) || pattern.slice(0, -1).includes('*'))
      fields.wrong(field, `has ${JSON.stringify(pattern.slice(0, 80))}, which is neither a name nor a beginning followed by "*"`)
  }
  return patterns
}

/** `{name}` is a parameter of a call, and connectors have none. */
function checkTemplates(fields: ConfigFields): void {
  for (const name of [...OVER_HTTP, ...OVER_STDIO]) {
    const value = fields.at(name)
    if (value === undefined) continue
    try {
      const [parameter] = compileTemplate({ [name]: value }).parameterPaths.keys()
      if (parameter !== undefined)
        fields.wrong(name, `holds {${parameter}}, and a connector has no parameters; write {{${parameter}}} for literal braces`)
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error
      fields.wrong(name, `is no template: ${error.message.replace(/\.$/, '')}`)
    }
    // An argument may be a whole script; nothing that a system is given may hold a NUL.
    if (holds(name === 'args' || name === 'env' ? /\0/ : CONTROL, value)) fields.wrong(name, 'must hold no control characters')
  }
}

function holds(pattern: RegExp, value: Json): boolean {
  if (typeof value === 'string') return pattern.test(value)
  if (isList(value)) return value.some((one) => holds(pattern, one))
  return isMap(value) && Object.values(value).some((one) => holds(pattern, one))
}
