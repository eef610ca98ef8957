/**
 * Whatever is not seen or reorders others: controls but tab and line feed (a carriage return only before one), format characters with all that
 * fonts ignore, private use, lone surrogates, odd line ends, blank Braille. Joiners and variation selectors belong to letters and emoji, so that
 * these are hidden only where they cannot change what stands before them: behind printable ASCII (but for the digits, # and * of keycaps), behind
 * nothing, and three in a row.
 */
const HIDDEN =
  /\r(?!\n)|(?![\t\n\r]|[\u200C-\u200D]|[\uFE0E-\uFE0F])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{DI}\p{Noncharacter_Code_Point}\u2800]|(?<=^|[\t\n -"$-)+-/:-~])(?:[\u200C-\u200D]|[\uFE0E-\uFE0F])|(?:[\u200C-\u200D]|[\uFE0E-\uFE0F]){3}/u

/** A character that a reader of the text does not see. */
export interface HiddenCharacter {
  /** From 1. */
  readonly line: number
  /** Such as `U+202E`. */
  readonly code: string
}

/** The first hidden character in a line that the text before did not have; null where whoever reads the new lines sees all of them. */
export function hiddenInNewLines(before: string, after: string): HiddenCharacter | null {
  const known = new Set(before.split('\n'))
  // Editors mark a file so; it stands in front of everything.
  const lines = after.replace(/^\uFEFF/u, '').split('\n')
  for (const [index, line] of lines.entries()) {
    const found = known.has(line) ? null : HIDDEN.exec(index === lines.length - 1 ? line : `${line}\n`)
    const code = found?.[0].codePointAt(0)
    if (code !== undefined) return { line: index + 1, code: `U+${code.toString(16).toUpperCase().padStart(4, '0')}` }
  }
  return null
}
