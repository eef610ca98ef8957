/**
 * Connectors: external MCP servers become signed tool files of the project. A connector is a tool file (`tool_type: mcp_connector`) that runs
 * when it is asked to, lists the server's tools and writes one `mcp_tool` file for each.
 */
import type { JsonObject } from '../json.ts'
import type { ExecutionContext } from '../kernel/chain/primitive.ts'
import type { Effect, Requirement } from '../kernel/items/item.ts'

/** `config` of a connector file, checked. Texts are as written: `${NAME}` is not expanded. */
export interface ConnectorConfig {
  /** Server name: `mcp.connect` scope, key owner. Default: the connector's id without `_connector`. */
  readonly server: string
  readonly transport:
    | { readonly kind: 'http'; readonly mcpUrl: string; readonly headers: JsonObject; readonly auth: JsonObject | null }
    | {
        readonly kind: 'stdio'
        readonly command: string
        readonly args: readonly string[]
        readonly env: JsonObject
        readonly cwd: string
        /** Files and folders of the project that the server consists of; see `McpRpcConfig`. */
        readonly program: readonly string[]
      }
  readonly era: 'auto' | 'legacy' | 'modern' | null
  /** Relative to the project, below `.ai/tools/`. Default `.ai/tools/mcp/<server>`. */
  readonly outputDir: string
  /** Begins every tool id; itself begins with `<server>_`. Default `<server>_`. */
  readonly toolPrefix: string
  /** Upstream name patterns (exact, or ending in `*`) to capabilities that the generated tool requires besides `mcp.<server>`; the first match counts. */
  readonly capabilities: readonly { readonly pattern: string; readonly requires: readonly (string | JsonObject)[] }[]
  /** Upstream name patterns that are generated; default all. */
  readonly tools: readonly string[] | null
}

/** What became of one upstream tool, or of one file, in a run. */
export interface ConnectorChange {
  readonly upstream: string | null
  readonly toolId: string
  /** Relative to the project; null where no file was or is. */
  readonly file: string | null
  readonly what:
    | 'created'
    | 'unchanged'
    /** The connector's own settings changed: regenerated. */
    | 'updated'
    /** The server's definition is another than the pinned one: left as it was, and blocked until it is accepted. */
    | 'drifted'
    | 'accepted'
    /** The server does not offer it any more. */
    | 'removed'
    /** Edited by hand, or signed by somebody else: left alone. */
    | 'kept'
    /** The server's tool cannot become a file; `reason` says why. */
    | 'skipped'
  readonly reason?: string
  /** Unified diff of the file as it is and as it would be; for `drifted` and `accepted`. */
  readonly diff?: string
}

export interface ConnectorRun {
  readonly connector: string
  readonly server: string
  readonly endpoint: string
  readonly changes: readonly ConnectorChange[]
  readonly warnings: readonly string[]
}

/** One connector file of the project. */
export interface ConnectorRow {
  readonly connector: string
  readonly server: string
  readonly endpoint: string
  readonly transport: 'http' | 'stdio'
  readonly file: string
  /** Of the connector file: `signed`, `unsigned`, `changed`, … */
  readonly integrity: string
  /** Generated tools that may run, and files of its folder that were edited. */
  readonly tools: number
  readonly edited: number
}

/** One generated file as it is now. */
export interface ConnectorTool {
  readonly toolId: string
  /** Name of the tool at its server. */
  readonly upstream: string | null
  readonly file: string
  /** Null when its signature is that of the connector; otherwise why the connector leaves it alone. */
  readonly edited: string | null
  readonly requires: readonly Requirement[]
  /** Null for a file that is no valid tool. */
  readonly effect: Effect | null
  /** What the server says of it, neutralised. */
  readonly description: string
}

/** Port of `services.connectors`: for the shipped tool behind connector files, and for the command line. */
export interface Connectors {
  /**
   * Lists the server's tools under the caller's own permissions and brings the files up to date. `accept` re-pins drifted tools, by upstream
   * name; `'all'` all of them. `dryRun` writes nothing.
   *
   * @throws {KiwiError} MCP_CONNECTION_FAILED, CONFIG_VALIDATION_ERROR, what the call of the server throws.
   */
  run(
    connectorId: string,
    context: ExecutionContext,
    options?: { readonly accept?: readonly string[] | 'all'; readonly dryRun?: boolean },
  ): Promise<ConnectorRun>
  list(): Promise<readonly ConnectorRow[]>
  /** The generated files of one connector, by name. Calls no server. */
  tools(connectorId: string): Promise<readonly ConnectorTool[]>
  /** Removes the connector, the files that it generated (not edited ones) and its key. Gives the removed files. */
  remove(connectorId: string): Promise<{ readonly removed: readonly string[]; readonly kept: readonly string[] }>
}
