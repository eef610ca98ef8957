/** The one tool of the loop benchmark: no work of its own, so that only the loop is measured. */
export const TOOL_NAME = 'note'
export const TOOL_DESCRIPTION = 'Reads one note by its path.'
export const SYSTEM_PROMPT = 'You read notes with the tool and then say what they hold.'
export const FIRST_MESSAGE = 'Read every note, one at a time.'

export const TOOL_SCHEMA = {
  type: 'object',
  properties: { path: { type: 'string', description: 'Path of the note' } },
  required: ['path'],
  additionalProperties: false,
} as const

/** About 200 bytes, different for every path. */
export function readNote(path: string): string {
  return `# ${path}\n${'A line of the note, as long as lines of notes are. '.repeat(3)}\nEnd of ${path}.`
}
