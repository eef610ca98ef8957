/**
 * Files below one folder, opened so that neither a path nor a link swapped at any moment leads out of it.
 *
 * F1. Open first, then check what was opened: every folder on the way is opened from its parent's descriptor without following links.
 * F2. Only regular files are read or replaced, and opening never waits (a FIFO or device is refused, not read).
 * F3. A write goes to a new file in the same folder that then takes the name: readers see the old or the new content, never a part.
 * F4. The deny list wins over everything, in any letter case.
 *
 * On systems without /proc, F1 is weaker: steps go by path, and the opened file is compared with what the path names afterwards.
 */
import { randomBytes } from 'node:crypto'
import { constants, type Dirent, type Stats } from 'node:fs'
import { type FileHandle, link, lstat, mkdir, open, readdir, readlink, realpath, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from './system-error.ts'
import { type Access, ConfinedPathError, denialOf, isItemPath, outside, parseRelativePath } from './relative-path.ts'
import { assertUnsigned } from './signature-line.ts'

/** A folder that nothing leads out of. */
export interface ConfinedRoot {
  /** Absolute. */
  readonly path: string
  /** Where the user's own items lie below it, relative, when they do: they are closed. */
  readonly userSpace: string | null
}

/** What a file tool reads of the context of its call. */
export interface ProjectContext {
  readonly projectPath: string
  readonly __user_space?: string
}

/** The project of a call, as its context names it. */
export function projectRoot(context: ProjectContext): ConfinedRoot {
  return { path: context.projectPath, userSpace: context.__user_space ?? null }
}

/** An open folder. Children are reached through its descriptor, so it stays the folder it was. */
export interface OpenFolder extends AsyncDisposable {
  /** Relative to the root; empty for the root itself. */
  readonly path: string
  readonly root: string
  /** Segments of the root's `userSpace`. */
  readonly userSpace: readonly string[] | null
  readonly handle: FileHandle
  readonly place: string
}

export interface OpenFile extends AsyncDisposable {
  readonly path: string
  readonly handle: FileHandle
  readonly stats: Stats
}

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants
const HAS_PROC = process.platform === 'linux'

/** @throws {ConfinedPathError} */
export async function openFolder(root: ConfinedRoot, path: string): Promise<OpenFolder> {
  const segments = checkedSegments(root, path, 'read')
  return await walkTo(root, segments, { path, create: false })
}

/** A folder in an open folder, opened without following a link. @throws {ConfinedPathError} */
export async function openChildFolder(parent: OpenFolder, name: string): Promise<OpenFolder> {
  return await enter(parent, name, { path: joined(parent, name), create: false })
}

/** A regular file for reading. @throws {ConfinedPathError} */
export async function openFile(root: ConfinedRoot, path: string): Promise<OpenFile> {
  const segments = checkedSegments(root, path, 'read')
  const name = segments.at(-1)
  if (name === undefined) throw notFile(path)
  await using folder = await walkTo(root, segments.slice(0, -1), { path, create: false })
  return await openChildFile(folder, name)
}

/** A regular file in an open folder, for reading (F1, F2). @throws {ConfinedPathError} */
export async function openChildFile(folder: OpenFolder, name: string): Promise<OpenFile> {
  const path = joined(folder, name)
  const handle = await open(childPlace(folder, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((error: unknown) => {
    throw explained(error, path)
  })
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw notFile(path)
    await assertInside(handle, { root: folder.root, path, place: join(folder.root, path) })
    return { path, handle, stats, [Symbol.asyncDispose]: async () => await handle.close() }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Names and types in an open folder; links are listed as links. */
export async function readFolder(folder: OpenFolder): Promise<readonly Dirent[]> {
  return await readdir(folderPlace(folder), { withFileTypes: true })
}

/** Size and type of a child without opening or following it. */
export async function childStats(folder: OpenFolder, name: string): Promise<Stats> {
  return await lstat(childPlace(folder, name))
}

/**
 * Writes a whole file (F3), making missing folders. `existing` decides what happens when the name is taken.
 *
 * A file that is replaced keeps its mode. Links, special files and files with another hard link are refused, and so is an item of the
 * project's `.ai` folder with a signature line.
 *
 * @throws {ConfinedPathError} ITEM_EXISTS when `existing` is `refuse`.
 */
export async function writeWhole(
  root: ConfinedRoot,
  path: string,
  content: { readonly bytes: Uint8Array; readonly existing: 'replace' | 'refuse' },
): Promise<{ created: boolean }> {
  const segments = checkedSegments(root, path, 'edit')
  const name = segments.at(-1)
  if (name === undefined) throw notFile(path)
  if (isItemPath(segments)) assertUnsigned(content.bytes, path)
  await using folder = await walkTo(root, segments.slice(0, -1), { path, create: true })
  const target = childPlace(folder, name)
  const before = await lstat(target).catch(() => null)
  if (before !== null) assertReplaceable(before, path)
  if (before !== null && content.existing === 'refuse') throw taken(path)
  await putWhole(folder, name, {
    bytes: content.bytes,
    mode: before?.mode ?? NEW_FILE_MODE,
    place: async (temporary) => {
      if (content.existing === 'replace') await rename(temporary, target)
      else await linkOver(temporary, target)
    },
  })
  return { created: before === null }
}

/** A folder of items of the project, made when it is missing. @throws {ConfinedPathError} */
export async function makeItemFolder(root: ConfinedRoot, path: string): Promise<OpenFolder> {
  return await walkTo(root, checkedSegments(root, path, 'edit'), { path, create: true })
}

/**
 * Puts a whole file into an open folder (F3), with whatever signature line it has: for code that signs, never for what a tool's caller wrote.
 * `before` is what the file must hold now; null means that the name must be free.
 *
 * @throws {ConfinedPathError} ITEM_EXISTS when the file is not as `before` says.
 */
export async function putChildFile(
  folder: OpenFolder,
  name: string,
  { bytes, before }: { readonly bytes: Uint8Array; readonly before: Uint8Array | null },
): Promise<void> {
  const target = childPlace(folder, name)
  const mode = before === null ? NEW_FILE_MODE : (await lstat(target)).mode
  await putWhole(folder, name, {
    bytes,
    mode,
    place: async (temporary) => {
      if (before === null) return await linkOver(temporary, target)
      await assertHolds(folder, name, before)
      await rename(temporary, target)
    },
  })
}

/** Removes a file of an open folder that holds these bytes. @throws {ConfinedPathError} ITEM_EXISTS when it holds others. */
export async function removeChildFile(folder: OpenFolder, name: string, before: Uint8Array): Promise<void> {
  await assertHolds(folder, name, before)
  await unlink(childPlace(folder, name))
}

async function assertHolds(folder: OpenFolder, name: string, expected: Uint8Array): Promise<void> {
  await using file = await openChildFile(folder, name)
  assertReplaceable(file.stats, file.path)
  const same = file.stats.size === expected.byteLength && (await file.handle.readFile()).equals(expected)
  if (same) return
  throw new ConfinedPathError(
    'ITEM_EXISTS',
    `${JSON.stringify(file.path)} was changed at this moment, and is left as it is.`,
    file.path,
  )
}

const NEW_FILE_MODE = 0o644

/** F3: the bytes go to a file beside it, which `place` then gives its name. */
async function putWhole(
  folder: OpenFolder,
  name: string,
  {
    bytes,
    mode,
    place,
  }: { readonly bytes: Uint8Array; readonly mode: number; readonly place: (temporary: string) => Promise<void> },
): Promise<void> {
  const path = joined(folder, name)
  const temporary = childPlace(folder, `.${name.slice(0, 100)}.${randomBytes(6).toString('hex')}.tmp`)
  const handle = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode & 0o777).catch((error: unknown) => {
    throw explained(error, path)
  })
  try {
    await handle.writeFile(bytes)
    await handle.close()
    await place(temporary)
  } catch (error) {
    await handle.close().catch(() => undefined)
    await unlink(temporary).catch(() => undefined)
    throw explained(error, path)
  }
}

/** Unlike renaming, linking does not replace what has the name. */
async function linkOver(temporary: string, target: string): Promise<void> {
  await link(temporary, target)
  await unlink(temporary)
}

function checkedSegments(root: ConfinedRoot, path: string, access: Access): readonly string[] {
  const segments = parseRelativePath(path)
  const denial = denialOf(segments, access, userSpaceOf(root))
  if (denial !== null) throw new ConfinedPathError('PERMISSION_DENIED', `${JSON.stringify(path)} is refused: ${denial}.`, path)
  return segments
}

function userSpaceOf({ userSpace }: ConfinedRoot): readonly string[] | null {
  return userSpace === null ? null : userSpace.split('/')
}

interface Step {
  /** As the caller gave it, for messages. */
  readonly path: string
  readonly create: boolean
}

async function walkTo(root: ConfinedRoot, segments: readonly string[], step: Step): Promise<OpenFolder> {
  const realRoot = await realpath(root.path).catch((error: unknown) => {
    throw explained(error, '.')
  })
  let folder = folderOf(await open(realRoot, O_RDONLY | O_DIRECTORY), { root: realRoot, userSpace: userSpaceOf(root), path: '' })
  for (const segment of segments) {
    const parent = folder
    try {
      folder = await enter(parent, segment, step)
    } finally {
      await parent.handle.close()
    }
  }
  return folder
}

async function enter(parent: OpenFolder, name: string, { path, create }: Step): Promise<OpenFolder> {
  const place = childPlace(parent, name)
  if (create) {
    await mkdir(place).catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw explained(error, path)
    })
  }
  const handle = await open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch((error: unknown) => {
    throw explained(error, path)
  })
  const child = folderOf(handle, { ...parent, path: joined(parent, name) })
  try {
    await assertInside(handle, { root: parent.root, path, place: child.place })
    return child
  } catch (error) {
    await handle.close()
    throw error
  }
}

function folderOf(handle: FileHandle, { root, userSpace, path }: Pick<OpenFolder, 'root' | 'userSpace' | 'path'>): OpenFolder {
  return { handle, root, userSpace, path, place: join(root, path), [Symbol.asyncDispose]: async () => await handle.close() }
}

/** Where the descriptor really is. */
async function assertInside(
  handle: FileHandle,
  { root, path, place }: { readonly root: string; readonly path: string; readonly place: string },
): Promise<void> {
  if (HAS_PROC) {
    const actual = await readlink(`/proc/self/fd/${handle.fd}`)
    if (actual === root || actual.startsWith(root === '/' ? '/' : `${root}/`)) return
    throw outside(path, 'it was moved out of the project while it was opened')
  }
  const [opened, real] = await Promise.all([handle.stat(), realpath(place)])
  const named = await stat(real)
  if (!real.startsWith(`${root}/`) || named.ino !== opened.ino || named.dev !== opened.dev)
    throw outside(path, 'a link leads out of the project')
}

function assertReplaceable(stats: Stats, path: string): void {
  if (stats.isSymbolicLink()) throw outside(path, 'it is a link, and links are not followed')
  if (!stats.isFile()) throw notFile(path)
  if (stats.nlink > 1) throw outside(path, 'it has another hard link, so writing it could change a file elsewhere')
}

function folderPlace(folder: OpenFolder): string {
  return HAS_PROC ? `/proc/self/fd/${folder.handle.fd}` : folder.place
}

function childPlace(folder: OpenFolder, name: string): string {
  return `${folderPlace(folder)}/${name}`
}

function joined(folder: OpenFolder, name: string): string {
  return folder.path === '' ? name : `${folder.path}/${name}`
}

function explained(error: unknown, path: string): unknown {
  if (error instanceof ConfinedPathError) return error
  switch (codeOf(error)) {
    case 'ENOENT':
      return new ConfinedPathError('FILE_NOT_FOUND', `There is no ${JSON.stringify(path)} in the project.`, path)
    case 'ELOOP':
    case 'ENXIO':
      return outside(path, 'it is a link or a special file, and those are not followed')
    case 'ENOTDIR':
      // O_DIRECTORY reports a link this way too.
      return outside(path, 'a part of it is a link or no folder')
    case 'EEXIST':
      return taken(path)
    case 'EACCES':
    case 'EPERM':
      return new ConfinedPathError(
        'PERMISSION_DENIED',
        `The system does not let this process open ${JSON.stringify(path)}.`,
        path,
      )
    default:
      return error
  }
}

function notFile(path: string): ConfinedPathError {
  return new ConfinedPathError('INVALID_REQUEST', `${JSON.stringify(path)} is not a regular file.`, path)
}

function taken(path: string): ConfinedPathError {
  return new ConfinedPathError('ITEM_EXISTS', `${JSON.stringify(path)} exists already.`, path)
}
