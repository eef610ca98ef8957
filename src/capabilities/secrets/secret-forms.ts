/** A text that gives a secret away, and the secret's name. */
export interface SecretForm {
  readonly name: string
  readonly text: string
}

/** Shorter values are never redacted: they would be found in ordinary words. */
export const MIN_SECRET_LENGTH = 8
/** A line of a longer value that is worth finding on its own. */
const MIN_LINE_LENGTH = 16
/** Longer values are found piece by piece, so that a part of a key is hidden as well. */
const PIECE_LENGTH = 96
const HEADER_LINE = /^-----(?:BEGIN|END) /

/**
 * The texts to look for, each at least eight characters: the value, its lines or pieces when it is long, its UTF-8 bytes read as latin1
 * (what percent-decoding gives), with `+` for blanks, and the part of its base64 that does not depend on what stands around it, for
 * each of the three places that it can have in a group of three bytes, in both alphabets. Escapes are undone before looking.
 */
export function formsOf(secret: { readonly name: string; readonly value: string }): readonly SecretForm[] {
  const texts = new Set(piecesOf(secret.value).flatMap((piece) => [piece, ...writtenAs(piece), ...base64Cores(piece)]))
  return [...texts].filter(({ length }) => length >= MIN_SECRET_LENGTH).map((text) => ({ name: secret.name, text }))
}

/** A PEM key is its lines: indentation and line ends differ wherever it is quoted. */
function piecesOf(value: string): readonly string[] {
  const lines = value
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line.length >= MIN_LINE_LENGTH && !HEADER_LINE.test(line))
  return (lines.length === 0 ? [value] : lines).flatMap(cut)
}

function cut(text: string): readonly string[] {
  const count = Math.max(1, Math.floor(text.length / PIECE_LENGTH))
  return Array.from({ length: count }, (_, index) =>
    text.slice(index * PIECE_LENGTH, index === count - 1 ? text.length : (index + 1) * PIECE_LENGTH),
  )
}

function writtenAs(piece: string): readonly string[] {
  const bytes = Buffer.from(piece).toString('latin1')
  return [piece.replaceAll(' ', '+'), bytes, bytes.replaceAll(' ', '+')]
}

function base64Cores(piece: string): readonly string[] {
  const bytes = Buffer.from(piece)
  return [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
    // Characters that hold bits of these bytes only; each has six.
    const core = encoded.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6))
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')]
  })
}
