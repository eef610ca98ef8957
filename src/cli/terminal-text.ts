/**
 * Text from models, tools and files, made safe for a terminal. Escape sequences (CSI, OSC with its payload, DCS and the like),
 * other control characters except newline and tab, and the invisible characters that reorder or hide text are removed; a carriage
 * return becomes a newline so that nothing already printed can be overwritten. Idempotent. A string that is cut inside a sequence loses
 * at most the sequence's own limit of text, so feed whole strings or use `createTerminalFilter`.
 */
export function terminalText(text: string): string {
  return text.replace(/\r\n?/gu, '\n').replace(SEQUENCES, '').replace(UNPRINTABLE, '')
}

/**
 * The same for one line of a table: newlines and tabs become single spaces.
 */
export function terminalLine(text: string): string {
  return terminalText(text).replace(/\s+/gu, ' ').trim()
}

/**
 * Text that somebody decides on: what `terminalText` would leave out is written as an escape, so that nothing in it goes unseen.
 */
export function visibleText(text: string): string {
  return text.replace(UNPRINTABLE, escaped).replace(UNSEEN, escaped)
}

function escaped(character: string): string {
  return [...Array(character.length).keys()].map((index) => unicodeEscape(character.charCodeAt(index))).join('')
}

/** What fonts show nothing for: format characters, fillers, variation selectors, private use, blank Braille. */
const UNSEEN = /[\p{Cf}\p{Co}\p{DI}\p{Noncharacter_Code_Point}\u2800]/gu

/**
 * A JSON value for stdout: the same value, with the control and invisible characters that `JSON.stringify` leaves as they are (C1, bidi)
 * written as escapes.
 */
export function terminalJson(value: unknown, indent: number = 2): string {
  return (JSON.stringify(value, null, indent) ?? 'null').replace(UNPRINTABLE, (character) =>
    character === '\n'
      ? character
      : [...Array(character.length).keys()].map((index) => unicodeEscape(character.charCodeAt(index))).join(''),
  )
}

/**
 * `terminalText` for text that arrives in pieces: an escape sequence that is split over pieces is still removed. Holds back at most
 * `MAX_HELD` characters, the start of a sequence that has not ended; `end` drops them.
 */
export function createTerminalFilter(): { write(piece: string): string; end(): string } {
  let held = ''
  return {
    write(piece) {
      const text = held + piece
      const open = OPEN_SEQUENCE.exec(text)
      const cut = open !== null && text.length - open.index <= MAX_HELD ? open.index : text.length
      held = text.slice(cut)
      return terminalText(text.slice(0, cut))
    },
    end() {
      const rest = terminalText(held.replace(OPEN_SEQUENCE, ''))
      held = ''
      return rest
    },
  }
}

/** Longer than any honest sequence; a payload that never ends must not hide the text after it for ever. */
const MAX_HELD = 4096

/* Every pattern below names control characters on purpose: removing them is what this file is for. */

// String-type sequences (OSC, DCS, SOS, PM, APC) with their payload, then CSI, then two-character escapes; 7-bit and C1 forms.
const SEQUENCES =
  // oxlint-disable-next-line no-control-regex
  /(?:\u001B[\]PX^_]|[\u009D\u0090\u0098\u009E\u009F])[^\u0007\u001B\u0080-\u009F]{0,4096}(?:\u0007|\u001B\\|\u009C)?|(?:\u001B\[|\u009B)[0-?]*[ -/]*[@-~]?|\u001B[ -/]*[0-~]?/gu

// An escape sequence that has begun and not ended at the end of the text.
const OPEN_SEQUENCE =
  // oxlint-disable-next-line no-control-regex
  /(?:(?:\u001B[\]PX^_]|[\u009D\u0090\u0098\u009E\u009F])[^\u0007\u001B\u0080-\u009F]*\u001B?|(?:\u001B\[|\u009B)[0-?]*[ -/]*|\u001B[ -/]*|\r)$/u

// C0 except tab and newline, DEL, C1; bidirectional controls, zero-width and other invisible format characters, tag characters.
const UNPRINTABLE =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]|[\u{E0000}-\u{E007F}]|\p{Surrogate}/gu

function unicodeEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`
}
