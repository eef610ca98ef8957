import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { KiwiError } from './kernel/errors.ts'

const NAME = 'AGENTS.md'
/** The text goes into every request of every thread; more is a mistake, not guidance. */
const MAX_BYTES = 64 * 1024

export interface AgentsText {
  readonly text: string
  /** Hex. */
  readonly sha256: string
}

/**
 * Reads `AGENTS.md` of the first folder that has one. It is guidance and grants nothing. Every turn of every thread asks for it, so it
 * is read again only when another file stands there or its size or times have changed.
 *
 * The reader throws KiwiError EXECUTION_FAILED when the file is too large or there is none.
 */
export function createAgentsTextReader(folders: readonly string[]): () => AgentsText {
  const paths = folders.map((folder) => join(folder, NAME))
  let known: { readonly stamp: string; readonly text: AgentsText } | null = null
  return () => {
    for (const path of paths) {
      const stamp = stampOf(path)
      if (stamp === null) continue
      if (known?.stamp !== stamp) known = { stamp, text: readText(path) }
      return known.text
    }
    throw new KiwiError('EXECUTION_FAILED', `No ${NAME} was found, not even the shipped one.`, {
      suggestion: 'Install the package again.',
    })
  }
}

function stampOf(path: string): string | null {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats === undefined ? null : `${path}:${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`
}

function readText(path: string): AgentsText {
  const bytes = readFileSync(path)
  if (bytes.length > MAX_BYTES) {
    throw new KiwiError('EXECUTION_FAILED', `${NAME} is ${bytes.length} bytes; at most ${MAX_BYTES} are sent to a model.`, {
      suggestion: 'Shorten it, or move what is looked up now and then into knowledge items.',
    })
  }
  return { text: bytes.toString('utf8'), sha256: createHash('sha256').update(bytes).digest('hex') }
}
