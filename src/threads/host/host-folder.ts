import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { KiwiError } from '../../kernel/errors.ts'

/** Where a user's one host keeps its lock, its socket, its log and its list of projects. */
export interface HostFolder {
  readonly path: string
  readonly lockPath: string
  readonly logPath: string
  readonly projectsPath: string
  /** Names the socket when it cannot stand in the folder itself. */
  readonly socketNotePath: string
}

/** `sun_path` holds 104 to 108 bytes, the end mark included. */
const MAX_SOCKET_PATH_BYTES = 100
const SOCKET_NAME = 'host.sock'
const PRIVATE_PREFIX = 'kiwi-host-'

/**
 * Makes the folder, 0700, or checks that it is the user's own and nobody else's.
 *
 * @throws {KiwiError} HOST_UNAVAILABLE
 */
export function openHostFolder(hostDir: string): HostFolder {
  mkdirSync(hostDir, { recursive: true, mode: 0o700 })
  const path = realpathSync(hostDir)
  assertPrivate(path)
  return {
    path,
    lockPath: join(path, 'host.lock.db'),
    logPath: join(path, 'host.log'),
    projectsPath: join(path, 'projects.json'),
    socketNotePath: join(path, 'socket-path'),
  }
}

function assertPrivate(path: string): void {
  const found = lstatSync(path)
  const owner = process.getuid?.()
  if (!found.isDirectory() || (owner !== undefined && found.uid !== owner)) {
    throw new KiwiError(
      'HOST_UNAVAILABLE',
      `The host's folder ${path} is not a folder of this user, so nothing in it is trusted.`,
      {
        suggestion: 'Remove it, or point the host at another folder.',
      },
    )
  }
  if (process.platform !== 'win32' && (found.mode & 0o077) !== 0) chmodSync(path, 0o700)
}

/** A path for the socket that the system accepts. The holder of the lock calls it, and the others read its note. */
export function chooseSocketPath(folder: HostFolder): string {
  const inFolder = join(folder.path, SOCKET_NAME)
  if (Buffer.byteLength(inFolder) <= MAX_SOCKET_PATH_BYTES) return inFolder
  const noted = readNote(folder)
  if (noted !== null) return noted
  const path = join(mkdtempSync(join(realpathSync(tmpdir()), PRIVATE_PREFIX)), SOCKET_NAME)
  writeFileSync(folder.socketNotePath, path, { mode: 0o600 })
  return path
}

/** Where a living host would listen; null when that was never decided. */
export function findSocketPath(folder: HostFolder): string | null {
  const inFolder = join(folder.path, SOCKET_NAME)
  return Buffer.byteLength(inFolder) <= MAX_SOCKET_PATH_BYTES ? inFolder : readNote(folder)
}

/** A note is followed only into a private folder of this user below the temporary folder. */
function readNote(folder: HostFolder): string | null {
  try {
    const path = resolve(readFileSync(folder.socketNotePath, 'utf8').trim())
    const parent = dirname(path)
    const expected = basename(path) === SOCKET_NAME && basename(parent).startsWith(PRIVATE_PREFIX)
    const found = lstatSync(parent)
    const owned = found.isDirectory() && found.uid === (process.getuid?.() ?? found.uid) && (found.mode & 0o077) === 0
    return expected && owned ? path : null
  } catch {
    // No note, or its folder is gone: a new one is made.
    return null
  }
}

/** Size in bytes; 0 for a file that is not there. */
export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
