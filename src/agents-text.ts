import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KiwiError } from './kernel/errors.ts'

const NAME = 'AGENTS.md'
/** The text goes into every request of every thread; more is a mistake, not guidance. */
const MAX_BYTES = 64 * 1024

/**
 * `AGENTS.md` of the first folder that has one, with its SHA-256 as hex. It is guidance and grants nothing.
 *
 * @throws KiwiError EXECUTION_FAILED when it is too large or there is none.
 */
export async function readAgentsText(folders: readonly string[]): Promise<{ readonly text: string; readonly sha256: string }> {
  for (const folder of folders) {
    const bytes = await readFile(join(folder, NAME)).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null
      throw error
    })
    if (bytes === null) continue
    if (bytes.length > MAX_BYTES) {
      throw new KiwiError('EXECUTION_FAILED', `${NAME} is ${bytes.length} bytes; at most ${MAX_BYTES} are sent to a model.`, {
        suggestion: 'Shorten it, or move what is looked up now and then into knowledge items.',
      })
    }
    return { text: bytes.toString('utf8'), sha256: createHash('sha256').update(bytes).digest('hex') }
  }
  throw new KiwiError('EXECUTION_FAILED', `No ${NAME} was found, not even the shipped one.`, {
    suggestion: 'Install the package again.',
  })
}
