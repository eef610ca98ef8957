/**
 * Finds what no grant opens (the deny list, folders of the host, sockets) below the folders that a command will see.
 *
 * C1. Bounded: beyond `MAX_ENTRIES` names nothing is run, because what was not looked at cannot be closed.
 * C2. No link is followed. `node_modules` is not entered below its top.
 * C3. A folder is read again only when its change time says so, and never trusted while that time is fresh.
 */
import { type BigIntStats, type Dirent, lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { setImmediate as nextTick } from 'node:timers/promises'
import { denialOf } from '../files/relative-path.ts'
import { codeOf } from '../files/system-error.ts'
import { SandboxError } from './contract.ts'

export interface ClosedEntry {
  /** Segments below the project. */
  readonly path: readonly string[]
  readonly type: 'folder' | 'file' | 'link' | 'socket'
  /** `gone`: seen as empty; `frozen`: may be read where it is granted. */
  readonly as: 'gone' | 'frozen'
  /** Where a link leads. */
  readonly target: string | null
  /** `device:inode`; what is mounted over cannot be deleted from inside, so it stays the same wherever its folder is moved. */
  readonly identity: string
}

export interface ClosedEntries {
  /** @throws {SandboxError} LIMIT_EXCEEDED */
  below(bases: readonly (readonly string[])[]): Promise<readonly ClosedEntry[]>
}

const SPACE = '.ai'
const MAX_ENTRIES = 200_000
const ENTRIES_PER_SLICE = 2_000
const MAX_REMEMBERED_FOLDERS = 20_000
/** Two changes within one tick of the file system's clock have the same time. */
const FRESH_NS = 100_000_000n

interface KnownFolder {
  readonly ino: bigint
  readonly ctimeNs: bigint
  readonly names: number
  readonly folders: readonly string[]
  readonly closed: readonly ClosedEntry[]
}

/** `hidden` are absolute folders that are closed like the deny list. */
export function createClosedEntries(
  root: string,
  { hidden, maxEntries = MAX_ENTRIES }: { readonly hidden: readonly string[]; readonly maxEntries?: number },
): ClosedEntries {
  const known = new Map<string, KnownFolder>()

  const look = (path: readonly string[]): KnownFolder | null => {
    const place = [root, ...path].join('/')
    const key = path.join('/')
    const stats = statsOf(place)
    if (stats === null || !stats.isDirectory()) return null
    const before = known.get(key)
    if (before !== undefined && before.ctimeNs === stats.ctimeNs && before.ino === stats.ino) return before
    const folder = readKnownFolder(root, path, { stats, hidden })
    if (folder !== null && BigInt(Date.now()) * 1_000_000n - stats.ctimeNs > FRESH_NS) {
      if (known.size >= MAX_REMEMBERED_FOLDERS) known.clear()
      known.set(key, folder)
    } else known.delete(key)
    return folder
  }

  return {
    async below(bases) {
      const closed: ClosedEntry[] = []
      const waiting = bases.map((base) => [...base])
      let seen = 0
      let slice = 0
      for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
        const folder = look(path)
        if (folder === null) continue
        seen += folder.names + 1
        slice += folder.names + 1
        if (seen > maxEntries) throw tooMany(maxEntries)
        closed.push(...folder.closed)
        for (const name of folder.folders) waiting.push([...path, name])
        if (slice > ENTRIES_PER_SLICE) {
          slice = 0
          await nextTick()
        }
      }
      return closed
    },
  }
}

function readKnownFolder(
  root: string,
  path: readonly string[],
  { stats, hidden }: { readonly stats: BigIntStats; readonly hidden: readonly string[] },
): KnownFolder | null {
  const place = [root, ...path].join('/')
  const entries = namesIn(place)
  if (entries === null) return null
  const folders: string[] = []
  const closed: ClosedEntry[] = []
  const inNodeModules = path.at(-1) === 'node_modules'
  for (const entry of entries) {
    const below = [...path, entry.name]
    const as = closureOf(below, { root, hidden, entry })
    if (as !== null) {
      const type = typeOf(entry)
      const at = `${place}/${entry.name}`
      const own = statsOf(at)
      const identity = own === null ? '' : `${own.dev}:${own.ino}`
      closed.push({ path: below, type, as, target: type === 'link' ? targetOf(at) : null, identity })
    }
    if (!entry.isDirectory() || as === 'gone' || inNodeModules) continue
    if (entry.name.includes('\uFFFD')) throw unreadableName(below)
    folders.push(entry.name)
  }
  return { ino: stats.ino, ctimeNs: stats.ctimeNs, names: entries.length, folders, closed }
}

function closureOf(
  path: readonly string[],
  { root, hidden, entry }: { readonly root: string; readonly hidden: readonly string[]; readonly entry: Dirent },
): ClosedEntry['as'] | null {
  if (denialOf(path, 'read') !== null) return 'gone'
  // A socket reaches whoever listens on it, whatever network the command has; a pipe likewise.
  if (entry.isSocket() || entry.isFIFO()) return 'gone'
  if (hidden.includes([root, ...path].join('/'))) return 'gone'
  // At any depth: `sub/.ai` decides what is done in another project.
  return path.at(-1)?.toLowerCase() === SPACE ? 'frozen' : null
}

function typeOf(entry: Dirent): ClosedEntry['type'] {
  if (entry.isDirectory()) return 'folder'
  if (entry.isSymbolicLink()) return 'link'
  return entry.isFile() ? 'file' : 'socket'
}

function statsOf(place: string): BigIntStats | null {
  try {
    return lstatSync(place, { bigint: true })
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(codeOf(error))) return null
    throw error
  }
}

function namesIn(place: string): readonly Dirent[] | null {
  try {
    return readdirSync(place, { withFileTypes: true })
  } catch (error) {
    // A folder that this user cannot read is closed to its commands too.
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(codeOf(error))) return null
    throw error
  }
}

function targetOf(place: string): string | null {
  try {
    return readlinkSync(place)
  } catch {
    return null
  }
}

function tooMany(maxEntries: number): SandboxError {
  return new SandboxError(
    'LIMIT_EXCEEDED',
    `The granted folders hold more than ${maxEntries} names, too many to close what must stay closed in them. Grant a narrower path.`,
  )
}

function unreadableName(path: readonly string[]): SandboxError {
  return new SandboxError(
    'CONFIG_VALIDATION_ERROR',
    `The name of the folder ${JSON.stringify(path.join('/'))} is not UTF-8, so what is in it cannot be closed. Rename it.`,
  )
}
