/**
 * Takes known secrets out of texts.
 *
 *   R1. Every occurrence of every form is replaced, overlapping ones by one mark; nothing else changes.
 *   R2. What held no secret comes back as the same string or object.
 *   R3. A text without secrets costs one pass with long steps and a few native searches: thousands of deltas a turn go through here.
 */
import type { Json } from '../../json.ts'
import type { Redactor } from '../contract.ts'
import { createEventRedaction } from './event-redaction.ts'
import { createFormMatcher } from './form-matcher.ts'
import { cutOf, rangesIn, redacted } from './ranges.ts'
import type { Finder } from './ranges.ts'
import { formsOf, MIN_SECRET_LENGTH } from './secret-forms.ts'
import { escapeRules } from './text-views.ts'

export interface Secret {
  /** Of the environment variable that holds it. */
  readonly name: string
  readonly value: string
}

/**
 * A redactor for these secrets. Values of fewer than eight characters are left out; of equal values the first name counts. Makes its
 * tables here, so make one per set and keep it.
 */
export function createRedactor(secrets: readonly Secret[]): Redactor {
  const named = new Map<string, string>()
  for (const { name, value } of secrets) if (value.length >= MIN_SECRET_LENGTH && !named.has(value)) named.set(value, name)
  const forms = [...named].flatMap(([value, name]) => formsOf({ name, value }))
  if (forms.length === 0) return NOTHING
  const finder: Finder = { matcher: createFormMatcher(forms), rules: escapeRules(forms.map(({ text }) => text)) }
  const text = (given: string): string => redacted(given, rangesIn(finder, given))
  return {
    text,
    json: (value) => redactJson(value, text),
    find: (value) => firstName(finder, value),
    stream: () => createStream(finder),
    events: () => createEventRedaction(finder),
  }
}

/** For a set without secrets. */
const NOTHING: Redactor = {
  text: (text) => text,
  json: (value) => value,
  find: () => null,
  stream: () => ({ push: (piece) => piece, end: () => '' }),
  events: () => ({ push: (event) => [event], end: () => [] }),
}

function redactJson<T extends Json>(value: T, text: (text: string) => string): T {
  // Each branch gives a value of the shape that it was given: strings stay strings, lists lists and objects objects.
  if (typeof value === 'string') return text(value) as T
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) {
    const list: readonly Json[] = value
    const items = list.map((item) => redactJson(item, text))
    return items.some((item, index) => item !== list[index]) ? (items as Json as T) : value
  }
  const entries = Object.entries(value as Readonly<Record<string, Json>>)
  const changed = entries.map(([key, item]) => [text(key), redactJson(item, text)] as const)
  const same = changed.every(([key, item], index) => key === entries[index]?.[0] && item === entries[index][1])
  return same ? value : (Object.fromEntries(changed) as Json as T)
}

function firstName(finder: Finder, value: Json): string | null {
  if (typeof value === 'string') return rangesIn(finder, value)[0]?.name ?? null
  if (value === null || typeof value !== 'object') return null
  for (const [key, item] of Object.entries(value)) {
    const name = rangesIn(finder, key)[0]?.name ?? firstName(finder, item)
    if (name !== null) return name
  }
  return null
}

function createStream(finder: Finder): { push(piece: string): string; end(): string } {
  let held = ''
  return {
    push(piece) {
      const text = held + piece
      const ranges = rangesIn(finder, text)
      const cut = cutOf(finder, text, ranges)
      held = text.slice(cut)
      return redacted(
        text.slice(0, cut),
        ranges.filter(({ end }) => end <= cut),
      )
    },
    end() {
      const rest = held
      held = ''
      return redacted(rest, rangesIn(finder, rest))
    },
  }
}
