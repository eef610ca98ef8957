import type { FormMatcher } from './form-matcher.ts'
import { MIN_SECRET_LENGTH } from './secret-forms.ts'
import { unfinishedEnd, viewsOf } from './text-views.ts'
import type { EscapeRules } from './text-views.ts'

/** What secrets are found with. */
export interface Finder {
  readonly matcher: FormMatcher
  readonly rules: EscapeRules
}

/** A part of a text, as it is written there, that gives a secret away. */
export interface SecretRange {
  readonly name: string
  readonly start: number
  readonly end: number
}

/** What stands in the place of a secret; safe inside of JSON. */
export function secretMark(name: string): string {
  return `[secret:${name.replaceAll(/[^\w.-]/g, '_')}]`
}

const NO_RANGES: readonly SecretRange[] = []

/** The secrets in a text, by start, without overlap. */
export function rangesIn({ matcher, rules }: Finder, text: string): readonly SecretRange[] {
  if (text.length < MIN_SECRET_LENGTH) return NO_RANGES
  const plain = matcher.all(text)
  const views = viewsOf(text, rules)
  if (plain.length === 0 && views.length === 0) return NO_RANGES
  const found: SecretRange[] = [...plain]
  for (const view of views) {
    for (const match of matcher.all(view.text)) {
      const [start, end] = view.written(match.start, match.end)
      found.push({ name: match.name, start, end })
    }
  }
  return found.length === 0 ? NO_RANGES : merged(found)
}

function merged(ranges: readonly SecretRange[]): readonly SecretRange[] {
  const result: SecretRange[] = []
  for (const range of ranges.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const last = result.at(-1)
    // The pieces of one long secret stand side by side: they are one.
    const joins = last !== undefined && (range.start < last.end || (range.start === last.end && range.name === last.name))
    if (joins) result[result.length - 1] = { ...last, end: Math.max(last.end, range.end) }
    else result.push(range)
  }
  return result
}

/** The text with a mark in place of each range. */
export function redacted(text: string, ranges: readonly SecretRange[]): string {
  if (ranges.length === 0) return text
  let result = ''
  let end = 0
  for (const range of ranges) {
    result += text.slice(end, range.start) + secretMark(range.name)
    end = range.end
  }
  return result + text.slice(end)
}

/** Where what may go on to become a secret begins; never inside of one that is complete, unless that one may grow into a longer one. */
export function cutOf(finder: Finder, text: string, ranges: readonly SecretRange[]): number {
  let cut = openingOf(finder, text)
  for (const { start, end } of ranges) if (start < cut && cut < end) cut = end
  return cut
}

/** Index from which the end of `text` may be the beginning of a secret in any of its forms; its length when it cannot be. */
export function openingOf({ matcher, rules }: Finder, text: string): number {
  let first = openingAt(matcher, text)
  for (const view of viewsOf(text, rules)) {
    const start = openingAt(matcher, view.text)
    if (start < view.text.length) first = Math.min(first, view.written(start, view.text.length)[0])
  }
  return first
}

/** An escape that has not ended, and a line end, stand for nothing yet: what is before them decides. */
function openingAt(matcher: FormMatcher, text: string): number {
  const unfinished = unfinishedEnd(text)
  const opening = matcher.openings(unfinished === null ? text : text.slice(0, unfinished.start))[0]
  return opening?.start ?? (unfinished?.opens === true ? unfinished.start : text.length)
}
