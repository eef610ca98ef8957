import { openFile, type ProjectContext, projectRoot, writeWhole } from '../../../src/primitives/files/confined-fs.ts'
import { ConfinedPathError, isItemPath, parseRelativePath } from '../../../src/primitives/files/relative-path.ts'
import { withoutSignatureLines } from '../../../src/primitives/files/signature-line.ts'
import { assertWritableSize, MAX_WRITABLE_BYTES, readExactText } from '../../../src/primitives/files/text-file.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'files'
export const __description__ =
  'Replace an exact text in a file of the project. old_text must occur exactly once, spaces and line ends included, unless replace_all is true. An item below .ai loses its signature.'
export const __requires__ = ['fs.write'] as const
export const __effect__ = 'once'
export const PARAMETERS = {
  type: 'object',
  additionalProperties: false,
  required: ['path', 'old_text', 'new_text'],
  properties: {
    path: { type: 'string', minLength: 1, maxLength: 4096, description: 'Path relative to the project.' },
    old_text: {
      type: 'string',
      minLength: 1,
      maxLength: 1000000,
      description: 'Text to replace, exactly as it stands in the file.',
    },
    new_text: { type: 'string', maxLength: 1000000, description: 'Text to put in its place.' },
    replace_all: { type: 'boolean', default: false, description: 'Replace every occurrence.' },
  },
} as const

interface Parameters {
  readonly path: string
  readonly old_text: string
  readonly new_text: string
  readonly replace_all: boolean
}

interface Result {
  readonly path: string
  readonly replacements: number
  readonly bytes: number
  /** True when the file was a signed item: its signature does not cover the new text and was taken out, so that no later edit revives it. */
  readonly signature_removed: boolean
}

/** Everything outside the replaced text stays byte for byte as it was, but for the signature line of an item. */
export default async function editFile(
  { path, old_text: oldText, new_text: newText, replace_all: replaceAll }: Parameters,
  context: ProjectContext,
): Promise<Result> {
  const text = await currentText(context, path)
  const found = occurrences(text, oldText)
  if (found === 0)
    throw refused(path, `old_text does not occur in ${JSON.stringify(path)}. Read the file and copy the text exactly.`)
  if (found > 1 && !replaceAll) {
    throw refused(
      path,
      `old_text occurs ${found} times in ${JSON.stringify(path)}. Include more of the lines around it, or set replace_all.`,
    )
  }
  // Before it is made: many replacements of a long text can be more than there is memory for.
  assertWritableSize(Buffer.byteLength(text) + found * (Buffer.byteLength(newText) - Buffer.byteLength(oldText)), path)
  const edited = text.replaceAll(oldText, () => newText)
  const kept = isItemPath(parseRelativePath(path)) ? withoutSignatureLines(edited) : edited
  const bytes = Buffer.from(kept, 'utf8')
  await writeWhole(projectRoot(context), path, { bytes, existing: 'replace' })
  return { path, replacements: found, bytes: bytes.length, signature_removed: kept !== edited }
}

function occurrences(text: string, part: string): number {
  let count = 0
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) count += 1
  return count
}

async function currentText(context: ProjectContext, path: string): Promise<string> {
  await using file = await openFile(projectRoot(context), path)
  return await readExactText(file, MAX_WRITABLE_BYTES)
}

function refused(path: string, message: string): ConfinedPathError {
  return new ConfinedPathError('INVALID_REQUEST', message, path)
}
