/** Writing what is neither a tool, a directive nor knowledge below `.ai/`: configuration and the like. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'Writing other files below .ai/, besides fs.write.'
export const CAPABILITIES = {
  'extractor.modify': 'Write files below .ai/ that are neither tools, directives nor knowledge.',
} as const
export const SYSTEM_ONLY = true
