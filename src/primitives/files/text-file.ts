import { type OpenFile } from './confined-fs.ts'
import { ConfinedPathError } from './relative-path.ts'

/** Of a file that is written as a whole. */
export const MAX_WRITABLE_BYTES: number = 8 * 1024 * 1024
/** Where a file stops being something to show as text. */
const SNIFFED_BYTES = 8_192

/** At most `maxBytes` from the beginning of an open file, whatever its size says by then. */
export async function readStart(file: OpenFile, maxBytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(file.stats.size, 1)))
  let length = 0
  while (length < buffer.length) {
    const { bytesRead } = await file.handle.read(buffer, length, buffer.length - length, length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return buffer.subarray(0, length)
}

/** A NUL near the beginning is what tells binary files from text everywhere. */
export function isBinary(bytes: Uint8Array): boolean {
  return bytes.subarray(0, SNIFFED_BYTES).includes(0)
}

/** @throws {ConfinedPathError} LIMIT_EXCEEDED */
export function assertWritableSize(bytes: number, path: string): void {
  if (bytes <= MAX_WRITABLE_BYTES) return
  const message = `${JSON.stringify(path)} would have ${bytes} bytes; at most ${MAX_WRITABLE_BYTES} are written at once.`
  throw new ConfinedPathError('LIMIT_EXCEEDED', message, path)
}

/**
 * The whole text of a file that will be written again; a byte-order mark and line ends are kept.
 *
 * @throws {ConfinedPathError} LIMIT_EXCEEDED beyond `maxBytes`; INVALID_REQUEST where decoding would change a byte.
 */
export async function readExactText(file: OpenFile, maxBytes: number): Promise<string> {
  if (file.stats.size > maxBytes) {
    throw new ConfinedPathError(
      'LIMIT_EXCEEDED',
      `${JSON.stringify(file.path)} has ${file.stats.size} bytes; at most ${maxBytes} can be edited.`,
      file.path,
    )
  }
  const bytes = await readStart(file, maxBytes)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new ConfinedPathError(
      'INVALID_REQUEST',
      `${JSON.stringify(file.path)} is not UTF-8 text, so it cannot be edited here.`,
      file.path,
    )
  }
}
