/** Controls but tab and line feed (a carriage return only before one), and characters that hide or reorder text. */
const HIDDEN =
  // oxlint-disable-next-line no-control-regex
  /\r(?!\n)|[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u00AD\u061C\u115F\u1160\u180E\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\u3164\uFEFF\uFFA0\uFFF9-\uFFFB]|[\u{E0000}-\u{E0FFF}]|\p{Surrogate}/u

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
