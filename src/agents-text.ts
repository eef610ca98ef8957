import { createHash } from 'node:crypto'
import { lstatSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { KiwiError } from './kernel/errors.ts'
import { denialOf } from './primitives/files/relative-path.ts'

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
 * is read again only when another file stands there or its size or times have changed. A link is followed within the project that the
 * folder lies in, because nobody signed it and what it leads to is sent to a model.
 *
 * The reader throws KiwiError EXECUTION_FAILED when the file is too large, is a link that leads elsewhere, or there is none.
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

/** The file that is meant, by its real path when a link stands there. */
function ownFile(path: string): string {
  if (!lstatSync(path).isSymbolicLink()) return path
  const project = realpathSync(dirname(dirname(path)))
  const real = realpathSync(path)
  const below = relative(project, real).split(sep)
  if (real.startsWith(`${project}${sep}`) && denialOf(below, 'read') === null) return real
  throw new KiwiError('EXECUTION_FAILED', `${NAME} is a link to a file outside of the project, or to one that is closed.`, {
    suggestion: 'Put the file itself there.',
  })
}

function stampOf(path: string): string | null {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats === undefined ? null : `${path}:${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`
}

function readText(path: string): AgentsText {
  const bytes = readFileSync(ownFile(path))
  if (bytes.length > MAX_BYTES) {
    throw new KiwiError('EXECUTION_FAILED', `${NAME} is ${bytes.length} bytes; at most ${MAX_BYTES} are sent to a model.`, {
      suggestion: 'Shorten it, or move what is looked up now and then into knowledge items.',
    })
  }
  return { text: bytes.toString('utf8'), sha256: createHash('sha256').update(bytes).digest('hex') }
}
