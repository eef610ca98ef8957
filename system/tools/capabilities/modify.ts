/** Writing items of the project, besides `fs.write` of their files. What is written stays unsigned until a person signs it. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'Writing items below .ai/, besides fs.write.'
export const CAPABILITIES = {
  'tool.modify': 'Write files below .ai/tools/.',
  'directive.modify': 'Write files below .ai/directives/.',
} as const
