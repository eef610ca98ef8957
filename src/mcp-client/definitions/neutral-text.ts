export interface NeutralTextOptions {
  /** UTF-16 units of the result, the note about a cut included. */
  readonly maxCharacters: number
  /** Keeps line ends and indentation; otherwise every run of blanks is one space. */
  readonly multiline: boolean
}

export interface HiddenCharacters {
  readonly kind: HiddenKind
  readonly count: number
  /** The first ones, as `U+200B`. */
  readonly codePoints: readonly string[]
}

export type HiddenKind =
  | 'control'
  | 'bidirectional'
  | 'tag'
  | 'zero-width'
  | 'variation selector'
  | 'private use'
  | 'combining'
  | 'other invisible'

const MAX_SHOWN = 3
const MAX_BLANKS = 16
const MAX_COMBINING = 8

/**
 * A server's text as plain NFC text in which all that is there can be seen: control characters (with them every escape sequence becomes
 * its harmless letters) and invisible characters are written as `[U+200B]`, a long run of them as `[40 hidden characters]`, blanks of
 * every kind as spaces, and a text that is too long is cut and says so. What emoji, Arabic and Indic scripts need stays. Idempotent.
 */
export function neutralText(text: string, options: NeutralTextOptions): string {
  // What lies far beyond the cut is not even looked at.
  const start = text.slice(0, options.maxCharacters * 2)
  const visible = start
    .normalize('NFC')
    .replace(LINE_ENDS, '\n')
    .replace(HIDDEN_RUNS, (run, ...found) => markOf(run, isKept(run, found)))
    .replace(COMBINING_FLOOD, '$1[more combining marks]')
  const laid = options.multiline ? laidOut(visible) : visible.replace(/\s+/gu, ' ').trim()
  return cut(laid, { whole: text.length, more: start.length < text.length, max: options.maxCharacters })
}

/** What a reader of the text would not see, by kind; empty for an honest text. Line ends and tabs are no hidden characters. */
export function hiddenCharacters(text: string): readonly HiddenCharacters[] {
  const found = new Map<HiddenKind, { count: number; codePoints: string[] }>()
  const count = (kind: HiddenKind, character: string): void => {
    const entry = found.get(kind) ?? { count: 0, codePoints: [] }
    entry.count += 1
    if (entry.codePoints.length < MAX_SHOWN) entry.codePoints.push(codePointOf(character))
    found.set(kind, entry)
  }
  const plain = text.replace(LINE_ENDS, '\n')
  for (const match of plain.matchAll(HIDDEN_RUNS)) {
    const [run] = match
    if (isKept(run, [match.index, plain])) continue
    for (const character of run) count(kindOf(character), character)
  }
  for (const [flood, kept = ''] of plain.replace(HIDDEN_RUNS, ' ').matchAll(COMBINING_FLOOD)) {
    for (const character of flood.slice(kept.length)) count('combining', character)
  }
  return [...found].map(([kind, { count: times, codePoints }]) => ({ kind, count: times, codePoints }))
}

/** The same in one sentence part: `2 zero-width (U+200B), 1 tag (U+E0041)`; empty when nothing is hidden. */
export function describeHidden(found: readonly HiddenCharacters[]): string {
  return found
    .map(({ kind, count, codePoints }) => `${count} ${kind} (${codePoints.join(' ')}${count > codePoints.length ? ' …' : ''})`)
    .join(', ')
}

/** A name from outside as messages show it: quoted, visible, at most 80 characters. */
export function quotedName(name: string): string {
  return `"${neutralText(name, { maxCharacters: 80, multiline: false }).replaceAll('"', '\\"')}"`
}

/* The patterns below name invisible characters on purpose: finding them is what this file is for. */

// U+0085 is a line end of old, U+2028 and U+2029 those of Unicode; a bare carriage return would let a line be written over.
// oxlint-disable-next-line no-control-regex
const LINE_ENDS = /\r\n?|[\u000B\u000C\u0085\u2028\u2029]/gu

// Whatever has no shape of its own: C0 (but not tab and line feed) and C1, format characters and all others that fonts are to ignore,
// lone surrogates, private use, non-characters, the blank Braille pattern. Some format characters of Arabic, Syriac and Kaithi are signs.
const HIDDEN_CHARACTER =
  '(?![\\t\\n\\u0600-\\u0605\\u06DD\\u070F\\u0890\\u0891\\u08E2\\u{110BD}\\u{110CD}])' +
  '[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{DI}\\p{Noncharacter_Code_Point}\\u2800]'
const HIDDEN_RUNS = new RegExp(`(?:${HIDDEN_CHARACTER})+`, 'gu')

const COMBINING_FLOOD = new RegExp(`(\\p{M}{${MAX_COMBINING}})\\p{M}+`, 'gu')

// Letters that are joined or parted by U+200C and U+200D where their writing asks for it.
const JOINING =
  /^[\p{scx=Arabic}\p{scx=Deva}\p{scx=Beng}\p{scx=Guru}\p{scx=Gujr}\p{scx=Orya}\p{scx=Taml}\p{scx=Telu}\p{scx=Knda}\p{scx=Mlym}\p{scx=Sinh}\p{scx=Syrc}\p{scx=Mong}]$/u
const EMOJI_PART = /^[\p{Extended_Pictographic}\p{Emoji_Modifier}\u20E3]$/u
const EMOJI_BASE = /^[\p{Extended_Pictographic}0-9#*]$/u

/** Whether a run is what an emoji or a script needs: a variation selector, a joiner, or both, between the right neighbours. */
function isKept(run: string, found: readonly unknown[]): boolean {
  if (!/^(?:[\uFE0E\uFE0F]\u200D?|[\u200C\u200D])$/u.test(run)) return false
  const [at, whole] = found.slice(-2)
  if (typeof at !== 'number' || typeof whole !== 'string') return false
  const before = lastCharacter(whole.slice(Math.max(at - 2, 0), at))
  const after = String.fromCodePoint(whole.codePointAt(at + run.length) ?? 0x20)
  if (run.startsWith('\uFE0E') || run.startsWith('\uFE0F')) {
    return EMOJI_BASE.test(before) && (run.length === 1 || EMOJI_PART.test(after))
  }
  if (JOINING.test(before) && JOINING.test(after)) return true
  return run === '\u200D' && EMOJI_PART.test(before) && EMOJI_PART.test(after)
}

function lastCharacter(text: string): string {
  return Array.from(text).at(-1) ?? ' '
}

function markOf(run: string, keep: boolean): string {
  if (keep) return run
  const characters = Array.from(run)
  if (characters.length > MAX_SHOWN) return `[${characters.length} hidden characters]`
  return `[${characters.map(codePointOf).join(' ')}]`
}

function codePointOf(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
}

function kindOf(character: string): HiddenKind {
  if (/[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/u.test(character)) return 'bidirectional'
  if (/[\u{E0000}-\u{E007F}]/u.test(character)) return 'tag'
  if (/[\u180B-\u180D\u180F]|[\uFE00-\uFE0F]|[\u{E0100}-\u{E01EF}]/u.test(character)) return 'variation selector'
  if (/[\u200B-\u200D\u2060\uFEFF]/u.test(character)) return 'zero-width'
  if (/\p{Cc}/u.test(character)) return 'control'
  return /\p{Co}/u.test(character) ? 'private use' : 'other invisible'
}

/** Text that is pushed out of sight by blanks comes back into sight. */
function laidOut(text: string): string {
  return text
    .replaceAll('\t', '  ')
    .replace(/\p{Zs}/gu, ' ')
    .replace(new RegExp(` {${MAX_BLANKS + 1},}`, 'g'), ' '.repeat(MAX_BLANKS))
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .replace(/^\n+|\n+$/g, '')
}

function cut(
  text: string,
  { whole, more, max }: { readonly whole: number; readonly more: boolean; readonly max: number },
): string {
  if (!more && text.length <= max) return text
  const long = ` … [cut here: it has ${whole} characters]`
  const note = long.length * 2 <= max ? long : '…'
  // Half of a surrogate pair, or a joiner whose other side is gone, would be invisible characters of our own making.
  const kept = text.slice(0, Math.max(max - note.length, 0)).replace(/[\uD800-\uDBFF\u200C\u200D]+$/u, '')
  return `${kept.trimEnd()}${note}`.slice(0, max)
}
