import { checkIntegrity, readSignature, signBytes } from '../kernel/integrity/signature.ts'
import type { SigningKeys } from '../kernel/contract.ts'
import { idOf, parseItem } from '../kernel/items/item-file.ts'
import type { ToolDefinition } from '../kernel/items/item.ts'
import {
  makeItemFolder,
  openChildFile,
  openFolder,
  putChildFile,
  readFolder,
  removeChildFile,
  type OpenFolder,
} from '../primitives/files/confined-fs.ts'
import { ConfinedPathError } from '../primitives/files/relative-path.ts'
import { readStart } from '../primitives/files/text-file.ts'
import { isMap } from './config-fields.ts'
import { categoryOf } from './connector-config.ts'
import type { ConnectorConfig } from './contract.ts'

/** One file of the folder of a connector, except the connector's own. */
export interface GeneratedFile {
  /** In the folder: `<toolId>.yaml`. */
  readonly name: string
  readonly toolId: string
  /** Relative to the project. */
  readonly file: string
  readonly bytes: Buffer
  /** Without its signature line. */
  readonly text: string
  /** Null when its signature holds and is that of the connector's key; otherwise why the file is left alone. */
  readonly foreign: string | null
  /** Null for what is no tool of an MCP server. */
  readonly definition: ToolDefinition | null
  readonly description: string
  /** Name of the tool at its server; null where the file does not say. */
  readonly upstream: string | null
  readonly pinnedHash: string | null
}

/** What of a run is written or removed: `before` is what the file must hold at that moment, null when there must be none. */
export type FileEffect =
  | { readonly kind: 'write'; readonly toolId: string; readonly bytes: Buffer; readonly before: Buffer | null }
  | { readonly kind: 'remove'; readonly toolId: string; readonly before: Buffer }

/** Items are smaller; more is not read. */
const MAX_BYTES = 1024 * 1024

/** The YAML files of the connector's folder that are or were tools of its server; none when there is no folder. `keyId`: the server's key. */
export async function readGeneratedFiles(
  projectPath: string,
  connector: ConnectorConfig,
  keyId: string | null,
): Promise<readonly GeneratedFile[]> {
  const folder = await openIfThere(projectPath, connector.outputDir)
  if (folder === null) return []
  await using open = folder
  const files: GeneratedFile[] = []
  for (const { name } of (await readFolder(open)).toSorted((left, right) => (left.name < right.name ? -1 : 1))) {
    if (!name.endsWith('.yaml') || /^[_.]/.test(name)) continue
    const bytes = await bytesOf(open, name)
    const found = describeFile(connector, { name, bytes, keyId })
    if (isOfServer(found, connector)) files.push(found)
  }
  return files
}

/** The bytes of a new file, signed by the key of the connector's server. */
export async function signedFile(
  connector: ConnectorConfig,
  { toolId, text }: { readonly toolId: string; readonly text: string },
  options: { readonly nowMs: number; readonly key: Pick<SigningKeys, 'sign'> },
): Promise<Buffer> {
  const subject = { type: 'tool', category: categoryOf(connector), id: toolId } as const
  return await signBytes(Buffer.from(text), 'yaml', { nowMs: options.nowMs, subject, keys: options.key })
}

/**
 * Writes and removes files; each is whole at every moment. Gives those that somebody changed in the meantime, by tool id, with the reason:
 * they are left as they are.
 *
 * @throws {ConfinedPathError} for a folder that is a link or leads out of the project.
 */
export async function applyEffects(
  projectPath: string,
  connector: ConnectorConfig,
  effects: readonly FileEffect[],
): Promise<ReadonlyMap<string, string>> {
  const refused = new Map<string, string>()
  if (effects.length === 0) return refused
  await using folder = await makeItemFolder(rootOf(projectPath), connector.outputDir)
  for (const effect of effects) {
    const name = `${effect.toolId}.yaml`
    try {
      if (effect.kind === 'remove') await removeChildFile(folder, name, effect.before)
      else await putChildFile(folder, name, effect)
    } catch (error) {
      if (!(error instanceof ConfinedPathError)) throw error
      refused.set(effect.toolId, error.message)
    }
  }
  return refused
}

function rootOf(projectPath: string): { readonly path: string; readonly userSpace: null } {
  return { path: projectPath, userSpace: null }
}

async function openIfThere(projectPath: string, path: string): Promise<OpenFolder | null> {
  try {
    return await openFolder(rootOf(projectPath), path)
  } catch (error) {
    if (error instanceof ConfinedPathError && error.code === 'FILE_NOT_FOUND') return null
    throw error
  }
}

/** Null for a link, a special file, or one that is gone by now. */
async function bytesOf(folder: OpenFolder, name: string): Promise<Buffer | null> {
  try {
    await using file = await openChildFile(folder, name)
    return file.stats.size > MAX_BYTES ? null : await readStart(file, MAX_BYTES)
  } catch (error) {
    if (error instanceof ConfinedPathError) return null
    throw error
  }
}

function describeFile(
  connector: ConnectorConfig,
  { name, bytes, keyId }: { readonly name: string; readonly bytes: Buffer | null; readonly keyId: string | null },
): GeneratedFile {
  const toolId = idOf(name)
  const place = { name, toolId, file: `${connector.outputDir}/${name}` }
  if (bytes === null) {
    const foreign = 'it is a link, no regular file, or larger than any tool file'
    return { ...place, ...UNREADABLE, foreign }
  }
  const { definition, description } = parseItem('tool', name, bytes)
  const tool = definition?.kind === 'tool' && definition.toolType === 'mcp_tool' ? definition : null
  const rpc = isMap(tool?.config['rpc']) ? tool.config['rpc'] : {}
  const { mcp_tool: upstream, upstream_hash: pinned } = rpc
  return {
    ...place,
    bytes,
    text: withoutSignature(bytes).toString('utf8'),
    foreign: foreignReason(bytes, { connector, toolId, keyId }),
    definition: tool,
    description,
    upstream: typeof upstream === 'string' ? upstream : null,
    pinnedHash: typeof pinned === 'string' ? pinned : null,
  }
}

const UNREADABLE = {
  bytes: Buffer.alloc(0),
  text: '',
  definition: null,
  description: '',
  upstream: null,
  pinnedHash: null,
} as const

function foreignReason(
  bytes: Buffer,
  { connector, toolId, keyId }: { readonly connector: ConnectorConfig; readonly toolId: string; readonly keyId: string | null },
): string | null {
  const integrity = checkIntegrity(bytes, 'yaml', { type: 'tool', category: categoryOf(connector), id: toolId })
  switch (integrity.kind) {
    case 'signed':
      return integrity.keyId === keyId ? null : 'it is signed by another key than that of this connector'
    case 'changed':
      return 'it was edited after it was generated'
    case 'unsigned':
    case 'keyless':
      return 'it is not signed'
    case 'malformed':
    case 'forged':
      return 'its signature is not valid'
  }
}

/** A file of another kind that lies in the same folder is none of the connector's business. */
function isOfServer({ toolId, definition, foreign }: GeneratedFile, { toolPrefix }: ConnectorConfig): boolean {
  if (definition !== null) return true
  return foreign !== null && toolId.startsWith(toolPrefix) && !toolId.endsWith('_connector')
}

function withoutSignature(bytes: Buffer): Buffer {
  const line = readSignature(bytes, 'yaml')
  return line.kind === 'found' ? Buffer.concat([bytes.subarray(0, line.start), bytes.subarray(line.end)]) : bytes
}
