import { constants, fstatSync, lstatSync, mkdirSync, openSync, closeSync, readFileSync, realpathSync, type Stats } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { KiwiError } from '../../kernel/errors.ts'
import { codeOf } from '../../primitives/files/system-error.ts'

const OTHERS = 0o077

/**
 * Makes the folder for keys (0700) unless it is there.
 *
 * @throws {KiwiError} KEY_UNSAFE when it is a link, another user's, open to others, or inside of the project.
 */
export function openKeyFolder(folder: string, options: { readonly projectPath: string }): void {
  assertOutside(folder, options.projectPath)
  mkdirSync(dirname(folder), { recursive: true })
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
  assertKeyFolder(folder, options)
}

/** Whether the folder for keys is there. @throws {KiwiError} KEY_UNSAFE as `openKeyFolder`. */
export function assertKeyFolder(folder: string, { projectPath }: { readonly projectPath: string }): boolean {
  assertOutside(folder, projectPath)
  const stats = lstatSync(folder, { throwIfNoEntry: false })
  if (stats === undefined) return false
  if (!stats.isDirectory()) {
    throw unsafe(folder, 'is a link or no folder', `Put the folder itself there:\n  rm ${shellWord(folder)}`)
  }
  assertPrivate(folder, stats, 0o700)
  return true
}

/**
 * The content of a file that only its owner may read; null when there is none.
 *
 * @throws {KiwiError} KEY_UNSAFE when it is a link, no regular file, another user's or open to others.
 */
export function readPrivateFile(path: string): { readonly text: string; readonly stats: Stats } | null {
  let descriptor: number
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT') return null
    if (code === 'ELOOP') throw unsafe(path, 'is a link', `Put the file itself there:\n  rm ${shellWord(path)}`)
    throw unsafe(path, `cannot be opened (${code})`, `Make it your own:\n  chown "$(id -u)" ${shellWord(path)}`)
  }
  try {
    const stats = fstatSync(descriptor)
    if (!stats.isFile()) throw unsafe(path, 'is no regular file', `Remove it:\n  rm ${shellWord(path)}`)
    assertPrivate(path, stats, 0o600)
    return { text: readFileSync(descriptor, 'utf8'), stats }
  } finally {
    closeSync(descriptor)
  }
}

/** A key store that must not be used, with the command that mends it. */
export function unsafe(path: string, what: string, suggestion: string): KiwiError {
  const shown = join(basename(dirname(path)), basename(path))
  return new KiwiError('KEY_UNSAFE', `The key store is not safe: ${shown} ${what}.`, { suggestion, facts: { file: shown } })
}

function assertPrivate(path: string, stats: Stats, mode: number): void {
  const uid = process.getuid?.()
  // Where there are no user ids there are no mode bits either; the profile folder's own rules hold.
  if (uid === undefined) return
  if (stats.uid !== uid) {
    throw unsafe(
      path,
      `belongs to user ${stats.uid}, and this process runs as ${uid}`,
      `If it is yours, run:\n  chown ${uid} ${shellWord(path)}`,
    )
  }
  if ((stats.mode & OTHERS) !== 0) {
    const found = (stats.mode & 0o777).toString(8).padStart(4, '0')
    throw unsafe(path, `can be used by others (mode ${found})`, `Run:\n  chmod ${mode.toString(8)} ${shellWord(path)}`)
  }
}

function assertOutside(folder: string, projectPath: string): void {
  const project = realPathOf(projectPath)
  const real = realPathOf(folder)
  if (real !== project && !real.startsWith(project.endsWith(sep) ? project : project + sep)) return
  throw unsafe(
    folder,
    'lies inside of the project, where its tools could read it',
    'Set USER_SPACE to a folder outside of the project, or choose another project folder with -C.',
  )
}

/** The real path of what is there, followed by what is not there yet. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    const parent = dirname(path)
    if (codeOf(error) !== 'ENOENT' || parent === path) throw error
    return join(realPathOf(parent), basename(path))
  }
}

function shellWord(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`
}
