/**
 * Text of a model as it may stand in a dialog: every character that is not seen, or that reorders or hides others, is written as an escape
 * such as `\u{202E}`; line ends and tabs stay. So nothing of it can look like another text than it is.
 */
export function visibleText(text: string): string {
  return text
    .replaceAll(/\r\n/gu, '\n')
    .replaceAll(HIDDEN, escaped)
    .replaceAll(COMBINING_FLOOD, (run, kept: string) => kept + Array.from(run.slice(kept.length), escaped).join(''))
}

/** The same on one line. */
export function visibleLine(text: string): string {
  return visibleText(text).replaceAll(/\s+/gu, ' ').trim()
}

export interface CutText {
  readonly text: string
  readonly isCut: boolean
}

/** At most `maxCharacters` of a text that is visible already; what is cut off is counted in its place. */
export function cutText(text: string, maxCharacters: number): CutText {
  if (text.length <= maxCharacters) return { text, isCut: false }
  const kept = text.slice(0, maxCharacters).toWellFormed()
  return { text: `${kept}… (${text.length - maxCharacters} more characters)`, isCut: true }
}

// Controls but tab and line feed, format characters with all that fonts ignore, lone surrogates, private use, odd line ends, blank Braille.
const HIDDEN = /(?![\t\n])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{DI}\p{Noncharacter_Code_Point}\u2800]/gu
/** No script puts more marks on a letter; more of them cover the lines around. */
const COMBINING_FLOOD = /(\p{M}{8})\p{M}+/gu

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase()}}`
}
