import { openFolder, type ProjectContext, projectRoot } from '../../../src/primitives/files/confined-fs.ts'
import { walk } from '../../../src/primitives/files/walk.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'files'
export const __description__ =
  'List what a folder of the project holds, with types and sizes in bytes; recursive on request. .git and node_modules are left out, node_modules unless it is named.'
/** Everything below the folder is looked at. */
export const __requires__ = [{ cap: 'fs.read', scope: { path: '{path}/**' } }] as const
export const __effect__ = 'pure'
export const PARAMETERS = {
  type: 'object',
  additionalProperties: false,
  properties: {
    path: { type: 'string', maxLength: 4096, default: '.', description: 'Folder relative to the project.' },
    recursive: { type: 'boolean', default: false, description: 'Also list what is in the folders below.' },
    limit: {
      type: 'integer',
      minimum: 1,
      maximum: 5000,
      default: 500,
      description: 'Most entries to show; the counts are of all.',
    },
  },
} as const

interface Entry {
  readonly path: string
  readonly type: 'file' | 'folder' | 'link' | 'other'
  readonly size: number
}

interface Result {
  readonly path: string
  /** Entries found, shown or not. */
  readonly count: number
  readonly files: number
  /** Sum of the sizes of all files found. */
  readonly total_bytes: number
  readonly entries: readonly Entry[]
  readonly truncated: boolean
}

/** Beyond this the walk itself is cut, and `truncated` says so. */
const MAX_VISITED = 200_000

/** Entries in the order of their names, a folder before what is in it. */
export default async function listFiles(
  { path, recursive, limit }: { readonly path: string; readonly recursive: boolean; readonly limit: number },
  context: ProjectContext & { readonly signal?: AbortSignal },
): Promise<Result> {
  await using folder = await openFolder(projectRoot(context), path)
  const entries: Entry[] = []
  let count = 0
  let files = 0
  let totalBytes = 0
  for await (const entry of walk(folder, { recursive, signal: context.signal })) {
    count += 1
    if (entry.type === 'file') files += 1
    totalBytes += entry.size
    if (entries.length < limit) entries.push({ path: entry.path, type: entry.type, size: entry.size })
    if (count >= MAX_VISITED) break
  }
  return {
    path: folder.path === '' ? '.' : folder.path,
    count,
    files,
    total_bytes: totalBytes,
    entries,
    truncated: count > entries.length || count >= MAX_VISITED,
  }
}
