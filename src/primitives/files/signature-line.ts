import { ConfinedPathError } from './relative-path.ts'

// Wider than any signature that would be accepted: every comment syntax, any blanks, any kind of line end or a byte-order mark (as three bytes)
// before it.
const SIGNATURE_LINE = /^(?:\u00ef\u00bb\u00bf)?\s*(?:#|\/\/|<!--)\s*kiwi:signed:/m

/**
 * Keeps what tools write unsigned: with its signature line, an older version of an item that was once signed would count again.
 *
 * @throws {ConfinedPathError} INVALID_REQUEST
 */
export function assertUnsigned(bytes: Uint8Array, path: string): void {
  // Each byte is one character, so no sequence of bytes can hide a line.
  if (!SIGNATURE_LINE.test(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1'))) return
  throw new ConfinedPathError(
    'INVALID_REQUEST',
    `${JSON.stringify(path)} would hold a line with \`kiwi:signed:\`. Leave it out: what a tool writes is unsigned until its owner signs it.`,
    path,
  )
}

/** The text without its signature lines; a byte-order mark before one stays. */
export function withoutSignatureLines(text: string): string {
  const mark = text.startsWith('\ufeff') ? '\ufeff' : ''
  const lines = text.slice(mark.length).match(/[^\n]*\n|[^\n]+$/g) ?? []
  return `${mark}${lines.filter((line) => !SIGNATURE_LINE.test(line)).join('')}`
}
