import { openFile, type ProjectContext, projectRoot } from '../../../src/primitives/files/confined-fs.ts'
import { isBinary, readStart } from '../../../src/primitives/files/text-file.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'files'
export const __description__ =
  'Read a text file of the project, whole or from a line on. Long files come in pages: go on at next_line.'
export const __requires__ = ['fs.read'] as const
export const __effect__ = 'pure'
export const PARAMETERS = {
  type: 'object',
  additionalProperties: false,
  required: ['path'],
  properties: {
    path: { type: 'string', minLength: 1, maxLength: 4096, description: 'Path relative to the project.' },
    offset_line: { type: 'integer', minimum: 1, default: 1, description: 'First line to show, counted from 1.' },
    limit_lines: { type: 'integer', minimum: 1, maximum: 100000, description: 'Most lines to show.' },
    max_bytes: { type: 'integer', minimum: 1, maximum: 1000000, default: 60000, description: 'Most bytes of text to show.' },
  },
} as const

interface Parameters {
  readonly path: string
  readonly offset_line: number
  readonly limit_lines?: number
  readonly max_bytes: number
}

interface Result {
  readonly path: string
  /** Bytes of the whole file. */
  readonly size: number
  readonly binary: boolean
  readonly content: string | null
  readonly first_line: number
  readonly last_line: number
  /** Null when the file is too long to be counted. */
  readonly total_lines: number | null
  readonly truncated: boolean
  readonly next_line: number | null
}

const MAX_SCANNED_BYTES = 16 * 1024 * 1024

/** One page of a file. A line that is longer than `max_bytes` is cut; every other line is whole. */
export default async function readFile(parameters: Parameters, context: ProjectContext): Promise<Result> {
  await using file = await openFile(projectRoot(context), parameters.path)
  const { path } = file
  const { size } = file.stats
  const bytes = await readStart(file, MAX_SCANNED_BYTES)
  if (isBinary(bytes)) {
    return {
      path,
      size,
      binary: true,
      content: null,
      first_line: 0,
      last_line: 0,
      total_lines: null,
      truncated: false,
      next_line: null,
    }
  }
  const lines = splitLines(new TextDecoder().decode(bytes))
  const first = parameters.offset_line
  const kept = page(lines, parameters)
  const last = first + kept.count - 1
  const whole = size <= MAX_SCANNED_BYTES
  const more = last < lines.length
  return {
    path,
    size,
    binary: false,
    content: kept.text,
    first_line: kept.count === 0 ? 0 : first,
    last_line: kept.count === 0 ? 0 : last,
    total_lines: whole ? lines.length : null,
    truncated: more || kept.cut || !whole,
    next_line: more && kept.count > 0 ? last + 1 : null,
  }
}

/** Lines with their ends, so that what is shown joins to what the file holds. */
function splitLines(text: string): readonly string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? []
}

function page(
  lines: readonly string[],
  { offset_line: first, limit_lines: limit, max_bytes: maxBytes }: Parameters,
): { text: string; count: number; cut: boolean } {
  let text = ''
  let bytes = 0
  let count = 0
  for (const line of lines.slice(first - 1, limit === undefined ? undefined : first - 1 + limit)) {
    const length = Buffer.byteLength(line)
    if (bytes + length > maxBytes) {
      if (count > 0) break
      return { text: new TextDecoder().decode(Buffer.from(line).subarray(0, maxBytes)), count: 1, cut: true }
    }
    text += line
    bytes += length
    count += 1
  }
  return { text, count, cut: false }
}
