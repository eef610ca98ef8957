import { closeSync, constants, fstatSync, mkdirSync, openSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { ConfinedRoot } from './confined-fs.ts'
import { ConfinedPathError, denialOf, outside, parseRelativePath } from './relative-path.ts'
import { codeOf } from './system-error.ts'

/**
 * Opens `path` for appending, folder by folder and without following a link, so that nothing that is swapped underneath can lead out of the root.
 * The file must be an ordinary one with a single name: another name could be anywhere. Missing folders are made (0700), and the file (0600).
 * Below `.ai` only the folders of threads take files.
 *
 * Synchronous, because it is two calls of the system in front of every stream; the folders of tools go through `confined-fs.ts`.
 *
 * @throws {ConfinedPathError} PATH_OUTSIDE_PROJECT, PERMISSION_DENIED
 */
export function openForAppend({ path: root, userSpace }: ConfinedRoot, path: string): number {
  const segments = parseRelativePath(path)
  const denial = denialOf(segments, 'append', userSpace?.split('/') ?? null)
  if (denial !== null) throw new ConfinedPathError('PERMISSION_DENIED', `${JSON.stringify(path)} is refused: ${denial}.`, path)
  const names = segments.slice(0, -1)
  const fileName = segments.at(-1)
  if (fileName === undefined || path.endsWith('/')) throw outside(path, 'it names a folder')
  const known = openKnownFolder(root, names)
  if (known !== null) {
    try {
      return openFile(`/proc/self/fd/${known}`, fileName, path)
    } finally {
      closeSync(known)
    }
  }
  const trail = [process.platform === 'linux' ? root : realpathSync(root)]
  let folder = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    for (const name of names) {
      const next = openFolder(folderPath(folder, trail), name, path)
      closeSync(folder)
      folder = next
      trail.push(name)
    }
    return openFile(folderPath(folder, trail), fileName, path)
  } finally {
    closeSync(folder)
  }
}

/**
 * The folder of almost every stream: it is there, and no link leads to it. What was opened is asked where it is, so a link that is put
 * there meanwhile is seen as well. Null for everything else, which goes folder by folder and says what is wrong.
 */
function openKnownFolder(root: string, names: readonly string[]): number | null {
  if (process.platform !== 'linux') return null
  const path = join(root, ...names)
  let folder: number | null = null
  try {
    folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    if (readlinkSync(`/proc/self/fd/${folder}`) === path) return folder
  } catch {
    // The slower way meets the same error where it can be told.
  }
  if (folder !== null) closeSync(folder)
  return null
}

/** The open folder itself where the system can name it; elsewhere its path, after checking that no link was followed to it. */
function folderPath(folder: number, trail: readonly string[]): string {
  if (process.platform === 'linux') return `/proc/self/fd/${folder}`
  const path = join(...trail)
  if (realpathSync(path) !== path) throw outside(path, 'a folder of it is a symbolic link')
  return path
}

function openFolder(parent: string, name: string, path: string): number {
  const folder = join(parent, name)
  // Made second, because almost every stream goes to a folder that is there.
  const opened = openIfThere(folder, path)
  if (opened !== null) return opened
  try {
    mkdirSync(folder, 0o700)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
  const made = openIfThere(folder, path)
  if (made === null) throw outside(path, `"${name}" went away while it was opened`)
  return made
}

function openIfThere(folder: string, path: string): number | null {
  try {
    return openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT') return null
    throw code === 'ENOTDIR' || code === 'ELOOP'
      ? outside(path, `"${basename(folder)}" is not a folder or is a symbolic link`)
      : error
  }
}

function openFile(parent: string, name: string, path: string): number {
  // O_NONBLOCK: opening a pipe must fail or return, not wait for a reader.
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK
  let file: number
  try {
    file = openSync(join(parent, name), flags, 0o600)
  } catch (error) {
    if (codeOf(error) === 'ELOOP') throw outside(path, 'it is a symbolic link')
    if (codeOf(error) === 'EISDIR' || codeOf(error) === 'ENXIO') throw outside(path, 'it is not an ordinary file')
    throw error
  }
  const { nlink, ...stat } = statOf(file)
  if (stat.isFile && nlink === 1) return file
  closeSync(file)
  throw outside(path, stat.isFile ? 'the file has a second name (hard link)' : 'it is not an ordinary file')
}

function statOf(file: number): { isFile: boolean; nlink: number } {
  const stat = fstatSync(file)
  return { isFile: stat.isFile(), nlink: stat.nlink }
}
