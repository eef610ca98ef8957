import { MIN_SECRET_LENGTH } from './secret-forms.ts'
import type { SecretForm } from './secret-forms.ts'

export interface FormMatch {
  readonly name: string
  readonly start: number
  readonly end: number
}

/** A form of which a text holds the beginning at its end. */
export interface FormOpening {
  readonly form: SecretForm
  readonly start: number
}

/** Many texts looked for at once, compiled once. */
export interface FormMatcher {
  /** Every occurrence, by start. Those of one name that overlap are one; others may overlap. */
  all(text: string): readonly FormMatch[]
  /** The end of `text` where it may be the beginning of a form; the earliest start first. */
  openings(text: string): readonly FormOpening[]
  /** Whether any form holds these two characters side by side; rarely true for no reason. */
  mayJoin(before: number, after: number): boolean
  /** Whether any form begins with this character. */
  mayBegin(character: number): boolean
}

const TABLE_SIZE = 4096
/** The end of the window when a search begins: it is as long as the shortest form. */
const WINDOW_END = MIN_SECRET_LENGTH - 1

/**
 * The search of Wu and Manber with pairs of characters: a window of eight characters moves on by up to seven at a time, which makes a
 * text without secrets cheap however many forms there are. Forms are at least eight characters long.
 *
 * @see https://webglimpse.net/pubs/TR94-17.pdf
 */
export function createFormMatcher(forms: readonly SecretForm[]): FormMatcher {
  const tables = compile(forms)
  return {
    all: (text) => search(tables, text),
    openings: (text) => openingsOf(tables, text),
    mayJoin: (before, after) => tables.pairs[pairOf(before, after)] === 1,
    mayBegin: (character) => tables.byFirst.has(character),
  }
}

interface Tables {
  /** How far the window may move when it ends with this pair. */
  readonly shifts: Uint8Array
  /** Forms whose first eight characters end with this pair. */
  readonly byPair: ReadonlyMap<number, readonly SecretForm[]>
  /** 1 for each pair that stands anywhere in a form. */
  readonly pairs: Uint8Array
  readonly byFirst: ReadonlyMap<number, readonly SecretForm[]>
  readonly longest: number
}

function compile(forms: readonly SecretForm[]): Tables {
  const shifts = new Uint8Array(TABLE_SIZE).fill(WINDOW_END)
  const pairs = new Uint8Array(TABLE_SIZE)
  const byPair = new Map<number, SecretForm[]>()
  const byFirst = new Map<number, SecretForm[]>()
  for (const form of forms) {
    const { text } = form
    for (let index = 1; index < text.length; index += 1) {
      const pair = pairAt(text, index)
      pairs[pair] = 1
      if (index <= WINDOW_END) shifts[pair] = Math.min(shifts[pair] ?? WINDOW_END, WINDOW_END - index)
    }
    push(byPair, pairAt(text, WINDOW_END), form)
    push(byFirst, text.charCodeAt(0), form)
  }
  return { shifts, pairs, byPair, byFirst, longest: Math.max(...forms.map(({ text }) => text.length)) }
}

function push(map: Map<number, SecretForm[]>, key: number, form: SecretForm): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [form])
  else list.push(form)
}

function pairAt(text: string, index: number): number {
  return pairOf(text.charCodeAt(index - 1), text.charCodeAt(index))
}

function pairOf(before: number, after: number): number {
  return ((before << 5) ^ after) & (TABLE_SIZE - 1)
}

const NONE: readonly never[] = []

function search({ shifts, byPair }: Tables, text: string): readonly FormMatch[] {
  const { length } = text
  let found: { name: string; start: number; end: number }[] | null = null
  let index = WINDOW_END
  while (index < length) {
    const pair = pairAt(text, index)
    const shift = shifts[pair] ?? 0
    if (shift > 0) {
      index += shift
      continue
    }
    const start = index - WINDOW_END
    for (const { name, text: form } of byPair.get(pair) ?? NONE) {
      if (!text.startsWith(form, start)) continue
      const last = found?.at(-1)
      const end = start + form.length
      // One run of equal characters would otherwise be as many matches as it has characters.
      if (last !== undefined && last.name === name && start < last.end) last.end = Math.max(last.end, end)
      else (found ??= []).push({ name, start, end })
    }
    index += 1
  }
  return found ?? NONE
}

function openingsOf({ pairs, byFirst, longest }: Tables, text: string): readonly FormOpening[] {
  // Every pair of an opening stands in a form, so the first one that does not ends the look back.
  const least = Math.max(0, text.length - longest)
  let first = text.length - 1
  while (first > least && pairs[pairAt(text, first)] === 1) first -= 1
  let found: FormOpening[] | null = null
  for (let start = Math.max(0, first); start < text.length; start += 1)
    for (const form of byFirst.get(text.charCodeAt(start)) ?? NONE)
      if (opens(form, text, start)) (found ??= []).push({ form, start })
  return found ?? NONE
}

function opens({ text: form }: SecretForm, text: string, start: number): boolean {
  const length = text.length - start
  if (length >= form.length) return false
  for (let index = 1; index < length; index += 1) if (form.charCodeAt(index) !== text.charCodeAt(start + index)) return false
  return true
}
