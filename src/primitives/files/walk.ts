import { childStats, openChildFolder, type OpenFolder, readFolder } from './confined-fs.ts'
import { ConfinedPathError, denialOf } from './relative-path.ts'

/** One thing found below a folder. `folder` is open only until the next entry is asked for. */
export interface WalkEntry {
  /** Relative to the root. */
  readonly path: string
  readonly name: string
  readonly type: 'file' | 'folder' | 'link' | 'other'
  /** Bytes; 0 for anything but a file. */
  readonly size: number
  readonly folder: OpenFolder
}

/** Large and generated: visited only when a caller names them. */
const SKIPPED: ReadonlySet<string> = new Set(['.git', 'node_modules'])
const MAX_DEPTH = 48

/**
 * Everything below an open folder, names in code-unit order, a folder before what is in it. Links are reported, never followed. Denied and
 * skipped folders are left out, and so is what vanishes or becomes a link on the way.
 */
export async function* walk(
  folder: OpenFolder,
  options: { readonly recursive: boolean; readonly signal?: AbortSignal | undefined },
  depth = 0,
): AsyncGenerator<WalkEntry> {
  const names = (await readFolder(folder)).map(({ name }) => name).toSorted((one, other) => (one < other ? -1 : 1))
  for (const name of names) {
    options.signal?.throwIfAborted()
    const path = folder.path === '' ? name : `${folder.path}/${name}`
    if (SKIPPED.has(name) || denialOf(path.split('/'), 'read', folder.userSpace) !== null) continue
    const stats = await childStats(folder, name).catch(() => null)
    if (stats === null) continue
    const type = stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : stats.isSymbolicLink() ? 'link' : 'other'
    yield { path, name, type, size: type === 'file' ? stats.size : 0, folder }
    if (type !== 'folder' || !options.recursive || depth >= MAX_DEPTH) continue
    const child = await openChildFolder(folder, name).catch((error: unknown) => {
      if (error instanceof ConfinedPathError) return null
      throw error
    })
    if (child === null) continue
    await using opened = child
    yield* walk(opened, options, depth + 1)
  }
}
