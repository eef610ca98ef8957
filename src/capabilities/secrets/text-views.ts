/**
 * A text as it reads after some escapes were undone, with the way back. Secrets are looked for in every view of a text, so that they
 * need not be known in each of their countless spellings.
 */
export interface TextView {
  readonly text: string
  /** The part of the written text that reads as `[start, end)` here. */
  written(start: number, end: number): readonly [start: number, end: number]
}

/** Which escapes can hide a character of the secrets at hand. */
export interface EscapeRules {
  /** Texts of which a text must hold one before its escapes are worth undoing, such as `\"` for a secret with a quote. */
  readonly signs: readonly string[]
}

/** JSON in JSON in JSON, or a URL in a URL in a URL. */
const ROUNDS = 3

const ESCAPE = /%([0-9A-Fa-f]{2})|\\(?:u([0-9A-Fa-f]{4})|(["\\/bfnrt]))/g
// Programs wrap base64 at 64 or 76 characters; in JSON the line end is an escape itself.
const WRAP = /(?:\r?\n|(?:\\{1,8}r)?\\{1,8}n)(?=[A-Za-z0-9+/_-])/g
const BEFORE_WRAP = /[A-Za-z0-9+/_-]/

const CONTROL: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

// An escape that has not ended, or (as a group) a line end after which base64 may go on.
const UNFINISHED = /(?:%[0-9A-Fa-f]?|\\{1,8}(?:u[0-9A-Fa-f]{0,3})?|((?:\\{1,8}[rn]){1,2}|[\r\n]{1,2}))$/
/** No match of `UNFINISHED` is longer. */
const UNFINISHED_LENGTH = 18

/**
 * Where the end of a text begins whose meaning depends on what follows; `opens` says that it may be the first character of something
 * itself. Null when there is none.
 */
export function unfinishedEnd(text: string): { readonly start: number; readonly opens: boolean } | null {
  if (!mayBeUnfinished(text)) return null
  const from = Math.max(0, text.length - UNFINISHED_LENGTH)
  const match = UNFINISHED.exec(from === 0 ? text : text.slice(from))
  return match === null ? null : { start: from + match.index, opens: match[1] === undefined }
}

/** A quick look at the last characters, because most texts end in a word. */
function mayBeUnfinished(text: string): boolean {
  for (let back = 1; back <= 5; back += 1) {
    const code = text.charCodeAt(text.length - back)
    if (code === PERCENT || code === BACKSLASH || code === LINE_FEED || code === CARRIAGE_RETURN) return true
  }
  return false
}

const PERCENT = 0x25
const BACKSLASH = 0x5c
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** The rules for secrets made of these texts. */
export function escapeRules(texts: readonly string[]): EscapeRules {
  const all = texts.join('')
  const signs = ['"', '\\', '/'].filter((character) => all.includes(character)).map((character) => `\\${character}`)
  const controls = Object.entries(CONTROL).filter(([, character]) => all.includes(character))
  return { signs: ['%', '\\u', ...signs, ...controls.map(([letter]) => `\\${letter}`)] }
}

/** The further views of a text; none for most texts, and then at the cost of a few native searches. */
export function viewsOf(text: string, rules: EscapeRules): readonly TextView[] {
  const escapes = text.includes('\\')
  const wraps = text.includes('\n') || (escapes && text.includes('\\n'))
  if (!wraps && !escapes && !text.includes('%')) return NO_VIEWS
  if (!wraps && !rules.signs.some((sign) => text.includes(sign))) return NO_VIEWS
  const views: TextView[] = []
  let view: TextView = { text, written: (start, end) => [start, end] }
  if (wraps) add(views, unwrapped(view))
  for (let round = 0; round < ROUNDS && rules.signs.some((sign) => view.text.includes(sign)); round += 1) {
    const decoded = unescaped(view)
    if (decoded === null) break
    view = decoded
    views.push(view)
    add(views, unwrapped(view))
  }
  return views
}

const NO_VIEWS: readonly TextView[] = []

function add(views: TextView[], view: TextView | null): void {
  if (view !== null) views.push(view)
}

function unescaped(view: TextView): TextView | null {
  const edits: Edit[] = []
  for (const match of view.text.matchAll(ESCAPE)) {
    const [whole, percent, unicode, letter = ''] = match
    const code = percent ?? unicode
    const character = code === undefined ? (CONTROL[letter] ?? letter) : String.fromCharCode(Number.parseInt(code, 16))
    edits.push({ start: match.index, end: match.index + whole.length, text: character })
  }
  return edited(view, edits)
}

function unwrapped(view: TextView): TextView | null {
  const edits: Edit[] = []
  for (const { index, 0: whole } of view.text.matchAll(WRAP)) {
    if (index > 0 && BEFORE_WRAP.test(view.text[index - 1] ?? ''))
      edits.push({ start: index, end: index + whole.length, text: '' })
  }
  return edited(view, edits)
}

interface Edit {
  readonly start: number
  readonly end: number
  /** At most one character. */
  readonly text: string
}

function edited(view: TextView, edits: readonly Edit[]): TextView | null {
  if (edits.length === 0) return null
  const pieces: string[] = []
  /** Where each edit stands in the new text. */
  const places: number[] = []
  let length = 0
  let end = 0
  for (const edit of edits) {
    pieces.push(view.text.slice(end, edit.start), edit.text)
    places.push(length + edit.start - end)
    length += edit.start - end + edit.text.length
    end = edit.end
  }
  pieces.push(view.text.slice(end))
  const before = (place: number): readonly [start: number, end: number] => {
    const index = lastAtMost(places, place)
    const edit = edits[index]
    const at = places[index]
    if (edit === undefined || at === undefined) return [place, place + 1]
    if (place < at + edit.text.length) return [edit.start, edit.end]
    const old = edit.end + place - at - edit.text.length
    return [old, old + 1]
  }
  return {
    text: pieces.join(''),
    written: (start, stop) => view.written(before(start)[0], before(stop - 1)[1]),
  }
}

/** Index of the last value that is not above `limit`; -1 for none. `sorted` may hold equal values. */
function lastAtMost(sorted: readonly number[], limit: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? 0) <= limit) low = middle + 1
    else high = middle
  }
  return low - 1
}
