import { openFile, writeWhole } from '../../../src/primitives/files/confined-fs.ts'
import { ConfinedPathError } from '../../../src/primitives/files/relative-path.ts'
import { readExactText } from '../../../src/primitives/files/text-file.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'files'
export const __description__ =
  'Replace an exact text in a file of the project. old_text must occur exactly once, spaces and line ends included, unless replace_all is true.'
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

const MAX_BYTES = 8 * 1024 * 1024

/** Everything outside the replaced text stays byte for byte as it was. */
export default async function editFile(
  { path, old_text: oldText, new_text: newText, replace_all: replaceAll }: Parameters,
  context: { readonly projectPath: string },
): Promise<{ readonly path: string; readonly replacements: number; readonly bytes: number }> {
  const text = await currentText(context.projectPath, path)
  const parts = text.split(oldText)
  const found = parts.length - 1
  if (found === 0)
    throw refused(path, `old_text does not occur in ${JSON.stringify(path)}. Read the file and copy the text exactly.`)
  if (found > 1 && !replaceAll) {
    throw refused(
      path,
      `old_text occurs ${found} times in ${JSON.stringify(path)}. Include more of the lines around it, or set replace_all.`,
    )
  }
  const bytes = Buffer.from(parts.join(newText), 'utf8')
  await writeWhole(context.projectPath, path, { bytes, existing: 'replace' })
  return { path, replacements: found, bytes: bytes.length }
}

async function currentText(projectPath: string, path: string): Promise<string> {
  await using file = await openFile(projectPath, path)
  return await readExactText(file, MAX_BYTES)
}

function refused(path: string, message: string): ConfinedPathError {
  return new ConfinedPathError('INVALID_REQUEST', message, path)
}
