import { stringify } from 'yaml'
import type { Json, JsonObject } from '../../json.ts'
import { readSignature } from '../../kernel/integrity/signature.ts'
import type { Effect } from '../../kernel/items/item.ts'
import type { UpstreamTool } from '../../mcp-client/contract.ts'
import { definitionHash } from '../../mcp-client/definitions/definition-hash.ts'
import { neutralDefinition } from '../../mcp-client/definitions/neutral-schema.ts'
import { categoryOf } from '../connector-config.ts'
import type { ConnectorConfig } from '../contract.ts'
import { withoutParameters } from './literal-text.ts'
import { requiredCapabilities } from './required-capabilities.ts'

export interface ToolFileRequest {
  readonly connector: ConnectorConfig
  /** Id of the connector's own file, for the comment on top. */
  readonly connectorId: string
  readonly tool: UpstreamTool
  /** From `toolNames`. */
  readonly toolId: string
}

export interface ToolFile {
  readonly toolId: string
  readonly upstreamHash: string
  /** YAML, unsigned. Equal for equal requests and definitions of equal hash. */
  readonly text: string
  /** For people: what was left out of the definition. They stand in the file as comments, too. */
  readonly notes: readonly string[]
}

/**
 * The file of one upstream tool. Every field of the configuration that its executor reads is fixed, so that a parameter of the server's
 * choice (`url`, `command`, `cwd`) is an argument of the tool and nothing else.
 *
 * @throws {TemplateError} for a text of the connector that is no template.
 */
export function toolFileText({ connector, connectorId, tool, toolId }: ToolFileRequest): ToolFile {
  const { server, transport } = connector
  const { description, inputSchema, notes } = neutralDefinition(tool)
  const upstreamHash = definitionHash(tool)
  const fields = {
    tool_id: toolId,
    tool_type: 'mcp_tool',
    version: '1.0.0',
    executor_id: transport.kind === 'http' ? 'mcp_http' : 'mcp_stdio',
    category: categoryOf(connector),
    description,
    requires: requiresOf(tool.name, connector),
    effect: effectOf(tool.annotations ?? {}),
    config: configOf(connector, { mcp_tool: tool.name, upstream_hash: upstreamHash }),
    input_schema: inputSchema,
  }
  const comments = [
    `Made by ${connectorId} of what the MCP server ${server} says of its tool. Edited, it must be signed anew.`,
    ...notes,
  ]
  return { toolId, upstreamHash, text: `${comments.map((line) => `# ${line}\n`).join('')}${yamlOf(fields)}`, notes }
}

/** A line of a server's text that reads as a signature would keep the file from being signed: then no text has lines of its own. */
function yamlOf(fields: JsonObject): string {
  const text = stringify(fields, YAML)
  return readSignature(Buffer.from(text), 'yaml').kind === 'none' ? text : stringify(fields, QUOTED_YAML)
}

const YAML = { version: '1.2', schema: 'core', aliasDuplicateObjects: false, lineWidth: 120 } as const
const QUOTED_YAML = {
  ...YAML,
  lineWidth: 0,
  blockQuote: false,
  defaultStringType: 'QUOTE_DOUBLE',
  doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER,
} as const

function requiresOf(upstreamName: string, connector: ConnectorConfig): readonly (string | JsonObject)[] {
  const server = ownServer(connector.server)
  const mapped = requiredCapabilities(upstreamName, connector)
  return [...new Map([server, ...mapped].map((one) => [JSON.stringify(one), one] as const)).values()]
}

/**
 * `mcp.<server>`. A server named `connect` cannot be asked for so: `mcp.connect` takes its scope from the parameter `server`, which is here
 * the server's own. Neither can a name that is no part of a capability's name.
 */
function ownServer(server: string): string | JsonObject {
  const isPlain = server !== 'connect' && /^[\w-]+(?:\.[\w-]+)*$/.test(server)
  return isPlain ? `mcp.${server}` : { cap: 'mcp.connect', scope: { server } }
}

/**
 * Annotations are the server's own word. `pure` would let a call go unrecorded, so that is never believed; `idempotent` only lets a call
 * be repeated when it is unknown whether it happened, which a server that lies does to its own tool alone. Everything else is `once`.
 */
function effectOf({ readOnlyHint, destructiveHint, idempotentHint }: JsonObject): Effect {
  const isReading = readOnlyHint === true && destructiveHint !== true
  return isReading || idempotentHint === true ? 'idempotent' : 'once'
}

function configOf(connector: ConnectorConfig, pinned: { readonly mcp_tool: string; readonly upstream_hash: string }): JsonObject {
  const { server, transport, era } = connector
  const rpc = { protocol: 'mcp', server, era: era ?? (transport.kind === 'http' ? 'auto' : 'legacy') }
  // `mcp_tool` stands in place of these two, which an executor would fill with parameters of the caller.
  const unused = { method: 'tools/call', params: null }
  if (transport.kind === 'http') {
    return {
      url: own(transport.mcpUrl, 'mcp_url'),
      headers: own(transport.headers, 'headers'),
      rpc: { ...rpc, auth: own(transport.auth, 'auth'), ...unused, ...pinned },
    }
  }
  return {
    command: own(transport.command, 'command'),
    args: own(transport.args, 'args'),
    env: own(transport.env, 'env'),
    cwd: own(transport.cwd, 'cwd'),
    rpc: { ...rpc, program: own(transport.program, 'program'), auth: null, ...unused, ...pinned },
  }
}

function own(value: Json, name: string): Json {
  return withoutParameters(value, ['config', name])
}
