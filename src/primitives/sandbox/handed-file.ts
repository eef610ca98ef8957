import { closeSync, constants, existsSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** In memory where the system has such a folder: what is handed over may be secret and must not reach a disk. */
const FOLDER: string = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/**
 * A file without a name, open for reading and writing, holding `content`, positioned at its beginning. The caller closes it.
 *
 * It carries a command line to a process: neither the process list nor a length limit touches it, and nothing is left when it is closed.
 */
export function openHandedFile(content: string | Uint8Array): number {
  const path = join(FOLDER, `kiwi-${process.pid}-${randomBytes(12).toString('hex')}`)
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const file = openSync(path, flags, 0o600)
  try {
    unlinkSync(path)
    const bytes = typeof content === 'string' ? Buffer.from(content) : content
    let written = 0
    // Positioned writes leave the offset where the reader begins.
    while (written < bytes.length) written += writeSync(file, bytes, written, bytes.length - written, written)
    return file
  } catch (error) {
    closeSync(file)
    throw error
  }
}
