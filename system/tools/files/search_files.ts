import {
  openChildFile,
  openFile,
  type OpenFile,
  openFolder,
  type ProjectContext,
  projectRoot,
} from '../../../src/primitives/files/confined-fs.ts'
import { ConfinedPathError } from '../../../src/primitives/files/relative-path.ts'
import { isBinary, readStart } from '../../../src/primitives/files/text-file.ts'
import { walk } from '../../../src/primitives/files/walk.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'files'
export const __description__ =
  'Find a literal text in the files of the project and show the lines that hold it. Not a regular expression.'
/** Everything below the folder is looked at. */
export const __requires__ = [{ cap: 'fs.read', scope: { path: '{path}/**' } }] as const
export const __effect__ = 'pure'
export const PARAMETERS = {
  type: 'object',
  additionalProperties: false,
  required: ['pattern'],
  properties: {
    // Up to 250 characters are searched in linear time; beyond them the engine's search can cost text times pattern.
    pattern: { type: 'string', minLength: 1, maxLength: 250, description: 'Text to find, as it stands in one line.' },
    path: {
      type: 'string',
      maxLength: 4096,
      default: '.',
      description: 'Folder or file relative to the project; permission for all below it is needed, also for one file.',
    },
    ignore_case: { type: 'boolean', default: false, description: 'Treat upper and lower case alike.' },
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100, description: 'Most matching lines to show.' },
  },
} as const

interface Match {
  readonly path: string
  readonly line: number
  readonly text: string
}

interface Result {
  readonly matches: readonly Match[]
  readonly files_searched: number
  /** Binary or too large. */
  readonly files_skipped: number
  readonly truncated: boolean
}

interface Parameters {
  readonly pattern: string
  readonly path: string
  readonly ignore_case: boolean
  readonly limit: number
}

const MAX_FILE_BYTES = 4 * 1024 * 1024
const MAX_TOTAL_BYTES = 256 * 1024 * 1024
const MAX_LINE_CHARS = 300

/** Matching lines in the order of paths and lines. Literal text only: a pattern of the caller's must not be able to stall this process. */
export default async function searchFiles(
  parameters: Parameters,
  context: ProjectContext & { readonly signal?: AbortSignal },
): Promise<Result> {
  const matches: Match[] = []
  let searched = 0
  let skipped = 0
  let bytesLeft = MAX_TOTAL_BYTES
  let truncated = false
  for await (const file of filesBelow(parameters.path, context)) {
    if (bytesLeft <= 0 || matches.length > parameters.limit) {
      truncated = true
      break
    }
    const bytes = file.stats.size > MAX_FILE_BYTES ? null : await readStart(file, MAX_FILE_BYTES)
    if (bytes === null || isBinary(bytes)) {
      skipped += 1
      continue
    }
    searched += 1
    bytesLeft -= bytes.length
    for (const match of matchesIn(file.path, bytes.toString('utf8'), parameters)) {
      matches.push(match)
      if (matches.length > parameters.limit) break
    }
  }
  truncated ||= matches.length > parameters.limit
  return { matches: matches.slice(0, parameters.limit), files_searched: searched, files_skipped: skipped, truncated }
}

/** Each file is open only until the next is asked for. */
async function* filesBelow(path: string, context: ProjectContext & { readonly signal?: AbortSignal }): AsyncGenerator<OpenFile> {
  const single = await openFile(projectRoot(context), path).catch((error: unknown) => {
    if (error instanceof ConfinedPathError && error.code === 'INVALID_REQUEST') return null
    throw error
  })
  if (single !== null) {
    await using file = single
    yield file
    return
  }
  await using folder = await openFolder(projectRoot(context), path)
  for await (const entry of walk(folder, { recursive: true, signal: context.signal })) {
    if (entry.type !== 'file') continue
    const opened = await openChildFile(entry.folder, entry.name).catch((error: unknown) => {
      // Gone or replaced since it was listed, or not readable: the others still count.
      if (error instanceof ConfinedPathError) return null
      throw error
    })
    if (opened === null) continue
    await using file = opened
    yield file
  }
}

function* matchesIn(path: string, text: string, { pattern, ignore_case: ignoreCase }: Parameters): Generator<Match> {
  const haystack = ignoreCase ? text.toLowerCase() : text
  const needle = ignoreCase ? pattern.toLowerCase() : pattern
  if (!haystack.includes(needle)) return
  for (const [index, line] of text.split('\n').entries()) {
    const at = (ignoreCase ? line.toLowerCase() : line).indexOf(needle)
    if (at < 0) continue
    const from = Math.max(0, Math.min(at - 60, line.length - MAX_LINE_CHARS))
    yield { path, line: index + 1, text: line.slice(from, from + MAX_LINE_CHARS).trimEnd() }
  }
}
