import { createHash } from 'node:crypto'
import {
  type OpenFile,
  openFile,
  openFolder,
  type ProjectContext,
  projectRoot,
} from '../../../src/primitives/files/confined-fs.ts'
import { ConfinedPathError } from '../../../src/primitives/files/relative-path.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'files'
export const __description__ =
  'Say whether a file of the project exists, what it is, its size in bytes, the SHA-256 of its content and when it was last changed, without showing it.'
export const __requires__ = ['fs.read'] as const
export const __effect__ = 'pure'
export const PARAMETERS = {
  type: 'object',
  additionalProperties: false,
  required: ['path'],
  properties: {
    path: { type: 'string', minLength: 1, maxLength: 4096, description: 'Path relative to the project.' },
    hash: { type: 'boolean', default: true, description: 'False leaves sha256 out, which is quicker for a long file.' },
  },
} as const

interface Result {
  readonly path: string
  readonly exists: boolean
  readonly type: 'file' | 'folder' | 'other' | null
  /** Bytes; of a file only. */
  readonly size: number | null
  /** In lower-case hex; of a file only. */
  readonly sha256: string | null
  /** ISO 8601 in UTC. */
  readonly modified: string | null
}

const PIECE_BYTES = 1024 * 1024

/** Links are not followed: one is refused like everywhere else. */
export default async function fileInfo(
  { path, hash }: { readonly path: string; readonly hash: boolean },
  context: ProjectContext & { readonly signal?: AbortSignal },
): Promise<Result> {
  const root = projectRoot(context)
  try {
    await using file = await openFile(root, path)
    const { size, mtime } = file.stats
    const sha256 = hash ? await sha256Of(file, context.signal) : null
    return { path: file.path, exists: true, type: 'file', size, sha256, modified: mtime.toISOString() }
  } catch (error) {
    if (!(error instanceof ConfinedPathError)) throw error
    const nothing = { path, size: null, sha256: null, modified: null }
    if (error.code === 'FILE_NOT_FOUND') return { ...nothing, exists: false, type: null }
    if (error.code !== 'INVALID_REQUEST') throw error
    const modified = await folderTime(root, path)
    return { ...nothing, exists: true, type: modified === null ? 'other' : 'folder', modified }
  }
}

/** Null for what is no folder either. */
async function folderTime(root: ReturnType<typeof projectRoot>, path: string): Promise<string | null> {
  try {
    await using folder = await openFolder(root, path)
    return (await folder.handle.stat()).mtime.toISOString()
  } catch (error) {
    // A path that is malformed is refused the same way a second time, and a special file as what it is.
    if (error instanceof ConfinedPathError && error.code !== 'INVALID_REQUEST') return null
    throw error
  }
}

/** As much as the file held when it was opened, so that one that grows has an end. */
async function sha256Of({ handle, stats }: OpenFile, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256')
  const piece = Buffer.allocUnsafe(Math.max(1, Math.min(PIECE_BYTES, stats.size)))
  for (let read = 0; read < stats.size;) {
    signal?.throwIfAborted()
    const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, stats.size - read), read)
    if (bytesRead === 0) break
    hash.update(piece.subarray(0, bytesRead))
    read += bytesRead
  }
  return hash.digest('hex')
}
