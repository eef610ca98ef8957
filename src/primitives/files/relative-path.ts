/** Which relative paths may be touched at all, before anything is opened. */

export type ConfinedErrorCode =
  | 'PATH_OUTSIDE_PROJECT'
  | 'FILE_NOT_FOUND'
  | 'PERMISSION_DENIED'
  | 'INVALID_REQUEST'
  | 'ITEM_EXISTS'
  | 'LIMIT_EXCEEDED'

/** A path that was refused. `path` is as the caller gave it. */
export class ConfinedPathError extends Error {
  override readonly name = 'ConfinedPathError'
  readonly code: ConfinedErrorCode
  readonly path: string

  constructor(code: ConfinedErrorCode, message: string, path: string) {
    super(message)
    this.code = code
    this.path = path
  }
}

/**
 * `edit` writes one whole file whose content is seen before it is written, as file tools do; `append` is what the sinks of streams do; `write` is
 * any other writing.
 */
export type Access = 'read' | 'write' | 'edit' | 'append'

const MAX_SEGMENTS = 64
// eslint-disable-next-line no-control-regex
const UNSAFE_SEGMENT = /[\u0000-\u001f\u007f\\:]|[. ]$/
const DEVICE_NAME = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i
const DENIED_ANYWHERE = /^(?:\.git|\.env.*|\.ssh|\.gnupg|\.aws)$/
/** In a space, the project's or the user's: what decides who may do what. */
const CLOSED_IN_SPACE = /^(?:threads|keys|host|trust.*)$/
const SPACE = '.ai'
/** Folders of items in a space. Only these spellings, so that a file system without letter case is not led around the rules of a caller. */
const ITEM_FOLDERS: ReadonlySet<string> = new Set(['tools', 'directives', 'knowledge'])

/**
 * The segments of a path relative to a root; empty for the root itself. `.`, a leading `./` and a trailing `/` are accepted.
 *
 * @throws {ConfinedPathError} for absolute paths, `..`, and names that mean something else on some system.
 */
export function parseRelativePath(path: string): readonly string[] {
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path)) throw outside(path, 'it is absolute. Give it relative to the project')
  const segments = path
    .replace(/^(?:\.\/+)+/, '')
    .replace(/\/+$/, '')
    .split('/')
  if (segments.length === 1 && (segments[0] === '' || segments[0] === '.')) return []
  if (segments.length > MAX_SEGMENTS) throw outside(path, `it has more than ${MAX_SEGMENTS} parts`)
  for (const segment of segments) {
    if (segment === '..') throw outside(path, '".." is not allowed')
    if (segment === '' || segment === '.') throw outside(path, 'it has an empty part')
    if (
      UNSAFE_SEGMENT.test(segment) ||
      DEVICE_NAME.test(segment) ||
      segment.length > 255 ||
      segment !== segment.normalize('NFC')
    ) {
      throw outside(path, `${JSON.stringify(segment)} is not a portable file name`)
    }
  }
  return segments
}

/**
 * Why a path may never be touched (F4); null when it may. `userSpace` is where the user's own items lie below the root, when they do.
 *
 * Item folders of the project may be edited: whether by this caller, and that the result is unsigned, is not decided here.
 */
export function denialOf(segments: readonly string[], access: Access, userSpace: readonly string[] | null = null): string | null {
  const folded = segments.map((segment) => segment.toLowerCase())
  const denied = folded.find((segment) => DENIED_ANYWHERE.test(segment))
  if (denied !== undefined) return `${denied} is closed to tools`
  if (userSpace !== null && userSpace.every((segment, index) => folded[index] === segment.toLowerCase())) {
    const denial = denialInSpace(folded.slice(userSpace.length), access)
    if (denial !== null) return denial
    if (access !== 'read' && userSpace.join('/') !== SPACE) return 'the user space is not written by tools'
  }
  for (const [index, segment] of folded.entries()) {
    if (segment !== SPACE) continue
    if (index === 0 && isWritableInProject(segments, access)) continue
    const denial = denialInSpace(folded.slice(index + 1), access)
    if (denial !== null) return denial
    if (access === 'append' && index === 0) return 'below .ai, streams are written to .ai/threads/ID/ only'
    if (access !== 'read' && index > 0) return 'the .ai folder of another project is not written by tools'
    if (access === 'edit') return 'below .ai, file tools write only in tools, directives and knowledge'
    if (access === 'write') return 'below .ai, only file tools write'
  }
  return null
}

/** Whether the segments lead to an item of the root's own `.ai` folder. */
export function isItemPath(segments: readonly string[]): boolean {
  return segments.length > 2 && segments[0] === SPACE && ITEM_FOLDERS.has(segments[1] ?? '')
}

function isWritableInProject(segments: readonly string[], access: Access): boolean {
  if (access === 'edit') return isItemPath(segments)
  // A file in the folder of one thread, and never the registry beside them.
  return access === 'append' && segments.length > 3 && segments[0] === SPACE && segments[1] === 'threads'
}

function denialInSpace([first = '']: readonly string[], access: Access): string | null {
  if (!CLOSED_IN_SPACE.test(first) || (access === 'append' && first === 'threads')) return null
  return `.ai/${first} is closed to tools`
}

/** A path that leads out of its folder, or could. */
export function outside(path: string, reason: string): ConfinedPathError {
  return new ConfinedPathError(
    'PATH_OUTSIDE_PROJECT',
    `The path ${JSON.stringify(path.slice(0, 200))} is refused: ${reason}.`,
    path,
  )
}
