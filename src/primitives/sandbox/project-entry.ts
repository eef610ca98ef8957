import { closeSync, constants, fstatSync, mkdirSync, openSync, type Stats } from 'node:fs'
import { codeOf } from '../files/system-error.ts'

/** Names a file without opening it: any type, no permission to read it needed. Node has no name for the flag. */
const O_PATH = 0o10000000
const { O_DIRECTORY, O_NOFOLLOW } = constants

/** What a path below the project names, held open so that it stays what it was. The caller closes `fd`. */
export interface ProjectEntry {
  readonly fd: number
  readonly stats: Stats
}

/**
 * Walks to an entry folder by folder without following any link.
 *
 * @param create Makes missing folders on the way, and the last one too.
 * @returns Null where there is nothing, or a link is on the way.
 */
export function openEntry(
  root: string,
  segments: readonly string[],
  { create }: { readonly create: boolean },
): ProjectEntry | null {
  let fd = openSync(root, O_PATH | O_DIRECTORY)
  try {
    for (const [index, segment] of segments.entries()) {
      const last = index === segments.length - 1
      const next = openChild(fd, segment, { folder: !last || create, create })
      closeSync(fd)
      fd = -1
      if (next === null) return null
      fd = next
    }
    const stats = fstatSync(fd)
    if (stats.isSymbolicLink()) return null
    const entry = { fd, stats }
    fd = -1
    return entry
  } finally {
    if (fd !== -1) closeSync(fd)
  }
}

/** The path of something in an open folder, which leads to that folder whatever happens to its name. */
export function placeIn(folder: number, name: string): string {
  return `/proc/self/fd/${folder}/${name}`
}

function openChild(
  folder: number,
  name: string,
  { folder: onlyFolder, create }: { readonly folder: boolean; readonly create: boolean },
): number | null {
  const place = placeIn(folder, name)
  try {
    if (create) mkdirSync(place, 0o755)
  } catch (error) {
    // EROFS, EACCES: it may be there nevertheless.
    if (!['EEXIST', 'EROFS', 'EACCES', 'ENOTDIR'].includes(codeOf(error))) throw error
  }
  try {
    return openSync(place, O_PATH | O_NOFOLLOW | (onlyFolder ? O_DIRECTORY : 0))
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES'].includes(codeOf(error))) return null
    throw error
  }
}
