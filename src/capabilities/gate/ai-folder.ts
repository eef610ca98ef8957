import { denialOf } from '../../primitives/files/relative-path.ts'
import { parsePathScope, pathSegments } from '../scopes/path-scope.ts'
import type { Wanted } from './wanted.ts'

/** What a path takes besides its own scope: nothing, another capability, or nothing that helps. */
export type PathToll =
  | { readonly kind: 'free' }
  | { readonly kind: 'capability'; readonly id: string }
  | { readonly kind: 'closed'; readonly reason: string }

const FREE: PathToll = { kind: 'free' }
const WRITES: ReadonlySet<string> = new Set(['fs.write', 'fs.delete'])

/**
 * Whatever a path is in (`userSpace`: where the user's own items lie below the project, when they do): closed places are closed to everybody, and writing below `.ai/` changes what Kiwi itself obeys. A scope counts
 * as the folder that its patterns stand in.
 */
export function tollOf(wanted: Extract<Wanted, { kind: 'value' | 'scope' }>, userSpace: string | undefined): PathToll {
  const isFile = wanted.id.startsWith('fs.')
  if (!isFile) return FREE
  const segments = wanted.kind === 'value' ? pathSegments(wanted.value) : baseOf(wanted.scope)
  if (segments === null) return { kind: 'closed', reason: 'it is not a path of the project' }
  const access = WRITES.has(wanted.id) ? 'write' : 'read'
  const own = userSpace === undefined ? [] : userSpace.split('/')
  // A space that is the project's own `.ai` obeys the rules of that.
  if (own.length > 0 && userSpace !== '.ai' && isBelow(segments, own)) {
    const denial = access === 'write' ? 'the user space is not written by tools' : denialOf(segments, access, own)
    if (denial !== null) return { kind: 'closed', reason: denial }
  }
  return tollOfSegments(segments, access)
}

function isBelow(segments: readonly string[], folder: readonly string[]): boolean {
  return folder.every((segment, index) => segments[index]?.toLowerCase() === segment.toLowerCase())
}

/** The same for a path in its segments. */
export function tollOfSegments(segments: readonly string[], access: 'read' | 'write'): PathToll {
  const denial = denialOf(segments, 'read')
  if (denial !== null) return { kind: 'closed', reason: denial }
  // On a file system that ignores case, another spelling is the same folder.
  const [top, second] = segments.map((segment) => segment.toLowerCase())
  if (top !== '.ai') return FREE
  if (second?.startsWith('trust') === true || second?.startsWith('keys') === true)
    return { kind: 'closed', reason: `.ai/${second} is closed to tools` }
  if (access === 'read') return FREE
  return MODIFY.get(second ?? '') ?? { kind: 'capability', id: 'extractor.modify' }
}

const MODIFY: ReadonlyMap<string, PathToll> = new Map<string, PathToll>([
  ['tools', { kind: 'capability', id: 'tool.modify' }],
  ['directives', { kind: 'capability', id: 'directive.modify' }],
  ['knowledge', FREE],
])

function baseOf(scope: string): readonly string[] | null {
  const outcome = parsePathScope(scope)
  return outcome.kind === 'scope' ? outcome.scope.rule.base : null
}
