import type { Json } from '../../json.ts'
import { readPath } from './evaluate.ts'
import type { ExpressionScope, PathUse } from './expression.ts'

/** `$${` stands for `${`. */
const MARK = /\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\})?/g
const MAX_PLACEHOLDERS = 64
const MAX_RENDERED = 65_536

export type PlaceholderUse =
  | { readonly kind: 'paths'; readonly paths: readonly PathUse[] }
  /** `offset` counts characters of the text from 0. */
  | { readonly kind: 'broken'; readonly offset: number; readonly reason: string; readonly fix: string }

/** The `${path}`s of a text, or what is wrong with one: at most 64, and nothing but a path in the braces. */
export function findPaths(text: string): PlaceholderUse {
  const paths: PathUse[] = []
  for (const { index, 0: whole, 1: path } of text.matchAll(MARK)) {
    if (whole === '$${') continue
    if (path === undefined) {
      const fix = 'Write `${event.detail}`: names with dots between, no blanks; `$${` is the text `${`.'
      return { kind: 'broken', offset: index, reason: '`${` without a path and `}` after it', fix }
    }
    if (paths.length === MAX_PLACEHOLDERS)
      return {
        kind: 'broken',
        offset: index,
        reason: `more than ${MAX_PLACEHOLDERS} placeholders`,
        fix: 'Pass a map as a whole.',
      }
    paths.push({ segments: path.split('.'), offset: index + 2 })
  }
  return { kind: 'paths', paths }
}

/**
 * A text with each `${path}` replaced by the value that the path leads to; what is put in is never read again.
 *
 * A text that is one placeholder gives the value itself (null where it leads nowhere). In other text a string stands as it is, null as
 * nothing, everything else as JSON; the result is cut after 65,536 characters. Never throws: a `${` that is no placeholder stays.
 */
export function renderPaths(text: string, scope: ExpressionScope): Json {
  const [first] = text.matchAll(MARK)
  if (first?.[1] !== undefined && first[0] === text) return readPath(first[1].split('.'), scope)
  let rendered = ''
  let end = 0
  for (const { index, 0: whole, 1: path } of text.matchAll(MARK)) {
    rendered += text.slice(end, index)
    end = index + whole.length
    if (rendered.length > MAX_RENDERED) break
    if (whole === '$${') rendered += '${'
    else rendered += path === undefined ? whole : shown(readPath(path.split('.'), scope))
  }
  rendered += text.slice(end)
  return rendered.length > MAX_RENDERED ? `${rendered.slice(0, MAX_RENDERED)}…` : rendered
}

function shown(value: Json): string {
  if (value === null) return ''
  if (typeof value !== 'object') return String(value)
  try {
    return JSON.stringify(value)
  } catch {
    // Longer than a text can be, or nested too deeply: nobody could read it either.
    return ''
  }
}
