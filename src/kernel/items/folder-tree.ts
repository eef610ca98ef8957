/**
 * The files below one folder, kept up to date without walking it again for each question.
 *
 * F1. The first look at a folder only reads it, so that a process with one question pays nothing more. A folder that is asked for again
 *     is watched from then on, and is read again only after an event.
 * F2. The watch starts before the folder is read: a change in between is seen twice, never missed.
 * F3. A watch is not believed for longer than `TRUST_MS`: network and host-mounted file systems deliver no events.
 * F4. What is not watched, and links, whose targets no watch sees, count as changed each time.
 * F5. A folder that is watched tells when it is itself moved or replaced, but not when one above it is; and one that is not there tells nothing. So a root is
 *     looked up again unless the folder that it stands in is known to be the same one, with the same names in it.
 */
import { lstatSync, readdirSync, realpathSync, statSync, watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { folderIdentity, isSymbolicLink, TRUST_MS } from './watched-place.ts'

const MAX_DEPTH = 16

export interface FoundFile {
  readonly name: string
  /** Absolute. */
  readonly path: string
  /** Folders below the root, joined with `/`. */
  readonly folder: string
  readonly isLink: boolean
}

export interface SkippedFolder {
  readonly folder: string
  readonly reason: string
  readonly fix: string
}

export interface FolderTree {
  /**
   * Looks for changes; true when files came, went or may have changed since the last look. `place` is what `WatchedPlace` says of the folder that the
   * root stands in.
   */
  refresh(place: string | null): boolean
  /** Sorted by path; the same array as long as no file came or went. */
  files(): readonly FoundFile[]
  skipped(): readonly SkippedFolder[]
  /** Size and times of a file as one text that changes with them; null when it is gone. */
  stamp(file: FoundFile): string | null
  close(): void
}

export interface FolderTreeOptions {
  readonly root: string
  readonly accepts: (name: string) => boolean
  /** Whether a root that is a link may lead out of the folder it stands in. */
  readonly mayLinkOut: boolean
}

interface Folder {
  readonly path: string
  readonly folder: string
  readonly identity: string
  /** Only a root can be one. Its watch is on what it leads to. */
  readonly isLink: boolean
  watcher: FSWatcher | null
  isDirty: boolean
  readAtMs: number
  files: readonly FoundFile[]
  hasLinks: boolean
  children: readonly string[]
  skipped: readonly SkippedFolder[]
  readonly stamps: Map<string, string>
}

interface TreeState extends FolderTreeOptions {
  readonly folders: Map<string, Folder>
  isClosed: boolean
  /** A watched file changed, came or went since the last look. */
  hasEvents: boolean
  /** What was said of the folder that the root stands in, at the last look; null at first. */
  place: string | null
  /** When the look began; read once, for it asks every folder. */
  nowMs: number
}

/** A tree whose root does not exist is empty until it does. */
export function createFolderTree(options: FolderTreeOptions): FolderTree {
  const state: TreeState = { ...options, folders: new Map(), isClosed: false, hasEvents: false, place: null, nowMs: 0 }
  let files: readonly FoundFile[] = []
  return {
    refresh(place) {
      const hadEvents = state.hasEvents
      state.hasEvents = false
      const changed = refreshRoot(state, place) || hadEvents
      if (changed) files = collect(state.folders, files)
      return changed
    },
    files: () => files,
    skipped: () => [...state.folders.values()].flatMap((folder) => folder.skipped),
    stamp(file) {
      const folder = state.folders.get(dirname(file.path))
      const known = folder?.stamps.get(file.name)
      if (known !== undefined && folder?.watcher !== null && !file.isLink) return known
      const stamp = stampOf(file)
      if (stamp !== null) folder?.stamps.set(file.name, stamp)
      return stamp
    },
    close() {
      state.isClosed = true
      for (const folder of state.folders.values()) stopWatch(folder)
    },
  }
}

function refreshRoot(state: TreeState, place: string | null): boolean {
  const { folders, root } = state
  const known = folders.get(root)
  const isSamePlace = place !== null && place === state.place
  state.place = place
  state.nowMs = performance.now()
  // F5
  if (isSamePlace && known === undefined) return false
  if (isSamePlace && known !== undefined && !known.isLink && isTrusted(known, state.nowMs)) return lookBelow(state, known)
  const identity = place === null ? null : folderIdentity(root)
  const wasForgotten = known?.identity !== identity && forget(folders, root)
  return identity === null ? wasForgotten : look(state, root, null)
}

/** True when anything at or below `path` changed or may have. */
function look(state: TreeState, path: string, parent: Folder | null): boolean {
  const { folders } = state
  const known = folders.get(path) ?? null
  if (known !== null && isTrusted(known, state.nowMs)) return lookBelow(state, known)
  const identity = folderIdentity(path)
  if (identity === null) return forget(folders, path)
  const isSame = known !== null && known.identity === identity
  if (known !== null && !isSame) forget(folders, path)
  const current = isSame ? known : newFolder(path, parent === null ? '' : joinFolder(parent.folder, basename(path)), identity)
  folders.set(path, current)
  if (isSame && current.watcher === null && !state.isClosed) startWatch(state, current) // F1, F2
  for (const gone of readFolder(current, state)) forget(folders, gone)
  // Another folder may have been put in the place of one below: its name tells nothing, so it is looked at too.
  for (const child of current.children) markDirty(folders.get(child))
  lookBelow(state, current)
  return true
}

function lookBelow(state: TreeState, folder: Folder): boolean {
  let changed = folder.hasLinks // F4
  for (const child of folder.children) changed = look(state, child, folder) || changed
  return changed
}

function startWatch(state: TreeState, folder: Folder): void {
  try {
    const watcher = watch(folder.path, { persistent: false }, (event, name) => {
      state.hasEvents = true
      if (event === 'rename' || name === null) folder.isDirty = true
      if (name === null) folder.stamps.clear()
      else folder.stamps.delete(name)
    })
    // A watch that fails later leaves the folder to be read each time.
    watcher.on('error', () => stopWatch(folder))
    folder.watcher = watcher
  } catch {
    // Too many watches, or a file system without them: F4 holds.
    folder.watcher = null
  }
}

function markDirty(folder: Folder | undefined): void {
  if (folder !== undefined) folder.isDirty = true
}

function isTrusted(folder: Folder, nowMs: number): boolean {
  return folder.watcher !== null && !folder.isDirty && nowMs - folder.readAtMs < TRUST_MS // F3
}

function newFolder(path: string, folder: string, identity: string): Folder {
  return {
    path,
    folder,
    identity,
    isLink: folder === '' && isSymbolicLink(path),
    watcher: null,
    isDirty: true,
    readAtMs: 0,
    files: [],
    hasLinks: false,
    children: [],
    skipped: [],
    stamps: new Map(),
  }
}

function joinFolder(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`
}

/** Reads one folder; the folders that were below it before and are not any more. */
function readFolder(folder: Folder, { accepts, mayLinkOut }: FolderTreeOptions): readonly string[] {
  folder.isDirty = false
  folder.readAtMs = performance.now()
  folder.stamps.clear()
  const files: FoundFile[] = []
  const children: string[] = []
  const skipped: SkippedFolder[] = []
  const isOut = folder.folder === '' && !mayLinkOut && linksOut(folder.path)
  if (isOut)
    skipped.push({ folder: '', reason: 'a link to a folder elsewhere is not followed', fix: 'Put a real folder in its place.' })
  const isDeepest = folder.folder.split('/').length >= MAX_DEPTH
  for (const entry of isOut ? [] : entriesOf(folder.path)) {
    const { name } = entry
    if (name.startsWith('.') || name === 'node_modules') continue
    const path = join(folder.path, name)
    if (accepts(name) && !entry.isDirectory()) files.push({ name, path, folder: folder.folder, isLink: entry.isSymbolicLink() })
    else if (entry.isSymbolicLink() && isFolder(path)) {
      const fix = 'Put a real folder in its place.'
      skipped.push({ folder: joinFolder(folder.folder, name), reason: 'a link to a folder is not followed', fix })
    } else if (entry.isDirectory() && !isDeepest) children.push(path)
    else if (entry.isDirectory()) {
      const reason = `folders deeper than ${MAX_DEPTH} levels are not searched`
      skipped.push({ folder: joinFolder(folder.folder, name), reason, fix: 'Move it up.' })
    }
  }
  const gone = folder.children.filter((child) => !children.includes(child))
  Object.assign(folder, { files, hasLinks: files.some((file) => file.isLink), children, skipped })
  return gone
}

function linksOut(path: string): boolean {
  try {
    return isSymbolicLink(path) && !realpathSync(path).startsWith(`${realpathSync(dirname(path))}${sep}`)
  } catch {
    // Gone: then there is nothing to read either.
    return false
  }
}

function entriesOf(path: string) {
  try {
    return readdirSync(path, { withFileTypes: true }).toSorted((left, right) => (left.name < right.name ? -1 : 1))
  } catch {
    // Gone between two looks, or not readable: an empty folder, as for a space that does not exist.
    return []
  }
}

function isFolder(path: string): boolean {
  return folderIdentity(path) !== null
}

/** True when the folder was known. */
function forget(folders: Map<string, Folder>, path: string): boolean {
  const folder = folders.get(path)
  if (folder === undefined) return false
  stopWatch(folder)
  folders.delete(path)
  for (const child of folder.children) forget(folders, child)
  return true
}

function stopWatch(folder: Folder): void {
  folder.watcher?.close()
  folder.watcher = null
}

/** The same array again when it holds the same files. */
function collect(folders: ReadonlyMap<string, Folder>, before: readonly FoundFile[]): readonly FoundFile[] {
  const files = [...folders.values()]
    .flatMap((folder) => folder.files)
    .toSorted((left, right) => (left.path < right.path ? -1 : 1))
  const isSame = files.length === before.length && files.every((file, index) => isSameFile(file, before[index]))
  return isSame ? before : files
}

function isSameFile(file: FoundFile, other: FoundFile | undefined): boolean {
  return file.path === other?.path && file.isLink === other.isLink
}

function stampOf(file: FoundFile): string | null {
  const stats = (file.isLink ? statSync : lstatSync)(file.path, { throwIfNoEntry: false })
  return stats === undefined ? null : `${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}:${stats.ino}`
}
