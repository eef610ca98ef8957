import { type ProjectContext, projectRoot, writeWhole } from '../../../src/primitives/files/confined-fs.ts'
import { assertWritableSize } from '../../../src/primitives/files/text-file.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'files'
export const __description__ =
  'Write a whole text file of the project, making its folders; an existing file is replaced. Use edit_file to change a part. Items below .ai stay unsigned.'
export const __requires__ = ['fs.write'] as const
export const __effect__ = 'idempotent'
export const PARAMETERS = {
  type: 'object',
  additionalProperties: false,
  required: ['path', 'content'],
  properties: {
    path: { type: 'string', minLength: 1, maxLength: 4096, description: 'Path relative to the project.' },
    content: { type: 'string', maxLength: 8000000, description: 'The whole text of the file.' },
  },
} as const

/** The file has the old content or the new one at every moment. */
export default async function writeFile(
  { path, content }: { readonly path: string; readonly content: string },
  context: ProjectContext,
): Promise<{ readonly path: string; readonly bytes: number; readonly created: boolean }> {
  assertWritableSize(Buffer.byteLength(content), path)
  const bytes = Buffer.from(content, 'utf8')
  const { created } = await writeWhole(projectRoot(context), path, { bytes, existing: 'replace' })
  return { path, bytes: bytes.length, created }
}
