/**
 * Scopes of files: `a/b`, `a/**`, `a/*`, `a/*.ts`, relative to the project. Segments are literal and compared exactly; only the last one
 * may be a pattern. The family is closed under `meet`, and since names are without end, a set covers a scope only if one member does.
 */
import { ConfinedPathError, parseRelativePath } from '../../primitives/files/relative-path.ts'
import type { PathRule } from '../../primitives/sandbox/contract.ts'
import { MAX_SCOPE_LENGTH, refuseScope, remembering } from './scope-outcome.ts'
import type { ScopeOutcome, ScopeRefusal } from './scope-outcome.ts'

export interface PathScope {
  /** Canonical: equal for equal scopes. */
  readonly text: string
  readonly rule: PathRule
}

const SHAPES = 'Write `a/b`, `a/**`, `a/*` or `a/*.ts`; only the last part may be a pattern.'
const GLOB = /[*?[\]{}]|[!@+](?=\()|^!/
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u
const EXTENSION = /^\*((?:\.[^.]+)+)$/

/** Reads one scope of a directive, a token or a tool's `requires`. Remembered by text. */
export const parsePathScope: (text: string) => ScopeOutcome<PathScope> = remembering(readPathScope)

function readPathScope(text: string): ScopeOutcome<PathScope> {
  const refusal = refuseWhole(text)
  if (refusal !== null) return refusal
  const start = /^(?:\.\/)*/.exec(text)?.[0].length ?? 0
  const segments = text.slice(start).split('/')
  // `**/*` and `dir/**/*` say the same as `**` and `dir/**`.
  if (segments.at(-1) === '*' && segments.at(-2) === '**') segments.pop()
  const base: string[] = []
  let offset = start
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1
    const rule = isLast ? readPattern(base, segment) : null
    if (rule !== null) return within(rule, offset)
    // In `*.t*s` it is the second star that is wrong.
    const wrong =
      (isLast && segment.startsWith('*.') ? refuseSegment(`x${segment.slice(1)}`, offset) : null) ??
      refuseSegment(segment, offset)
    if (wrong !== null) return wrong
    base.push(segment)
    offset += segment.length + 1
  }
  return within({ kind: 'exact', base }, start)
}

function refuseWhole(text: string): ScopeRefusal | null {
  if (text === '') return refuseScope(0, 'a path scope is empty', 'Write `**` for the whole project.')
  if (text.length > MAX_SCOPE_LENGTH)
    return refuseScope(MAX_SCOPE_LENGTH, `a path scope of more than ${MAX_SCOPE_LENGTH} characters`, SHAPES)
  if (/^(?:\.\/?)+$/.test(text) && !text.includes('..'))
    return refuseScope(0, '`.` is not a path scope', 'Write `**` for the whole project, `*` for the entries in its folder.')
  if (text.startsWith('/') || /^[A-Za-z]:/.test(text) || /^~(?:\/|$)/.test(text)) {
    const fix = 'Write it relative to the project; other places need `fs.absolute`, which only shipped directives may have.'
    return refuseScope(0, 'a path scope is absolute', fix)
  }
  if (text.endsWith('/')) {
    const folder = text.replace(/\/+$/, '')
    const fix = `Write \`${folder}/**\` for the folder and everything below, \`${folder}\` for that entry alone.`
    return refuseScope(text.length - 1, 'a path scope ends in `/`', fix)
  }
  return null
}

/** The rule that a last segment makes with what stands before it; null when it is no pattern. */
function readPattern(base: readonly string[], segment: string): PathRule | null {
  if (segment === '**') return { kind: 'tree', base }
  if (segment === '*') return { kind: 'children', base }
  const suffix = EXTENSION.exec(segment)?.[1]
  if (suffix === undefined || refuseSegment(`x${suffix}`, 0) !== null) return null
  return { kind: 'extension', base, suffix }
}

function refuseSegment(segment: string, offset: number): ScopeRefusal | null {
  if (segment === '') return refuseScope(offset, 'an empty part in a path scope', 'Write one `/` between two names.')
  if (segment === '..' || segment === '.')
    return refuseScope(offset, `\`${segment}\` in a path scope`, 'Write the path that is meant, from the project down.')
  const glob = GLOB.exec(segment)
  if (glob !== null) return refuseScope(offset + glob.index, `a pattern (\`${glob[0]}\`) in the middle of a path scope`, SHAPES)
  const invisible = INVISIBLE.exec(segment)
  if (invisible !== null)
    return refuseScope(offset + invisible.index, 'a character that cannot be seen in a path scope', 'Remove it.')
  try {
    parseRelativePath(segment)
    return null
  } catch (error) {
    if (!(error instanceof ConfinedPathError)) throw error
    const odd = Math.max(segment.search(/[\\:]/), 0)
    const reason = `${JSON.stringify(segment.slice(0, 80))} is not a portable file name`
    const fix =
      segment === segment.normalize('NFC')
        ? 'Use no `\\`, no `:`, no dot or blank at the end and no name of a device.'
        : 'Write its letters in the composed form (Unicode NFC).'
    return refuseScope(offset + odd, reason, fix)
  }
}

function within(rule: PathRule, offset: number): ScopeOutcome<PathScope> {
  if (rule.base.length > MAX_SEGMENTS)
    return refuseScope(offset, `a path scope of more than ${MAX_SEGMENTS} parts`, 'Name a folder further up.')
  return { kind: 'scope', scope: { text: pathRuleText(rule), rule } }
}

/** As many as a path may have. */
const MAX_SEGMENTS = 64

/** The rule of a scope text; null for a text that is none, which grants nothing. */
export function toPathRule(text: string): PathRule | null {
  const outcome = parsePathScope(text)
  return outcome.kind === 'scope' ? outcome.scope.rule : null
}

function pathRuleText(rule: PathRule): string {
  switch (rule.kind) {
    case 'exact':
      return rule.base.join('/')
    case 'tree':
      return [...rule.base, '**'].join('/')
    case 'children':
      return [...rule.base, '*'].join('/')
    case 'extension':
      return [...rule.base, `*${rule.suffix}`].join('/')
  }
}

/** Segments of an actual path as a caller gave it, `.`, a leading `./` and a trailing `/` read away; null for a path that is refused. */
export function pathSegments(value: string): readonly string[] | null {
  try {
    return parseRelativePath(value)
  } catch (error) {
    if (error instanceof ConfinedPathError) return null
    throw error
  }
}

/** Whether an actual path lies within a scope. Every path that `parseRelativePath` refuses lies in none. */
export function pathMembership(value: string): (scope: PathScope) => boolean {
  const segments = pathSegments(value)
  return (scope) => segments !== null && ruleContains(scope.rule, segments)
}

function ruleContains(rule: PathRule, segments: readonly string[]): boolean {
  const { base } = rule
  if (!startsWith(segments, base)) return false
  const below = segments.length - base.length
  switch (rule.kind) {
    case 'tree':
      return true
    case 'exact':
      return below === 0
    case 'children':
      return below === 1
    case 'extension':
      return below === 1 && hasExtension(segments[base.length] ?? '', rule.suffix)
  }
}

/** Whether every path that `inner` contains is one of `outer`. Exact. */
export function pathScopeCovers(outer: PathScope, inner: PathScope): boolean {
  const [wide, narrow] = [outer.rule, inner.rule]
  if (narrow.kind === 'exact') return ruleContains(wide, narrow.base)
  if (wide.kind === 'tree') return startsWith(narrow.base, wide.base)
  if (narrow.kind === 'tree' || wide.kind === 'exact' || !sameSegments(wide.base, narrow.base)) return false
  if (wide.kind === 'children') return true
  return narrow.kind === 'extension' && narrow.suffix.endsWith(wide.suffix)
}

/** The scope of the paths that both contain; null when there are none. Exact. */
export function meetPathScopes(left: PathScope, right: PathScope): PathScope | null {
  if (pathScopeCovers(left, right)) return right
  if (pathScopeCovers(right, left)) return left
  // What is left over: a folder with everything below is also one name in its parent folder.
  const tree = [left, right].find((scope) => scope.rule.kind === 'tree')
  const other = tree === left ? right : left
  if (tree === undefined || !ruleContains(other.rule, tree.rule.base)) return null
  const rule: PathRule = { kind: 'exact', base: tree.rule.base }
  return { text: pathRuleText(rule), rule }
}

function hasExtension(name: string, suffix: string): boolean {
  return name.length > suffix.length && name.endsWith(suffix)
}

function startsWith(segments: readonly string[], base: readonly string[]): boolean {
  return segments.length >= base.length && base.every((segment, index) => segment === segments[index])
}

function sameSegments(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && startsWith(left, right)
}
