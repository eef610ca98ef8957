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

export type Access = 'read' | 'write'

const MAX_SEGMENTS = 64
// eslint-disable-next-line no-control-regex
const UNSAFE_SEGMENT = /[\u0000-\u001f\u007f\\:]|[. ]$/
const DEVICE_NAME = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i
const DENIED_ANYWHERE = /^(?:\.git|\.env.*|\.ssh|\.gnupg|\.aws)$/
const DENIED_BELOW_AI: ReadonlySet<string> = new Set(['threads', 'keys', 'trust'])

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

/** Why a path may never be touched (F4); null when it may. */
export function denialOf(segments: readonly string[], access: Access): string | null {
  const folded = segments.map((segment) => segment.toLowerCase())
  const denied = folded.find((segment) => DENIED_ANYWHERE.test(segment))
  if (denied !== undefined) return `${denied} is closed to tools`
  if (folded[0] !== '.ai') return null
  if (DENIED_BELOW_AI.has(folded[1] ?? '')) return `.ai/${folded[1]} is closed to tools`
  return access === 'write'
    ? '.ai is not written by file tools: items there are changed by their owner and signed with `kiwi sign`'
    : null
}

/** A path that leads out of its folder, or could. */
export function outside(path: string, reason: string): ConfinedPathError {
  return new ConfinedPathError(
    'PATH_OUTSIDE_PROJECT',
    `The path ${JSON.stringify(path.slice(0, 200))} is refused: ${reason}.`,
    path,
  )
}
