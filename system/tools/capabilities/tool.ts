/** Which tools may be called at all; what a tool requires must be granted besides. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'Calling tools.'
export const CAPABILITIES = {
  'tool.execute': 'Call the tool of this id.',
  'tool.approved': 'Make the calls of this tool that somebody agreed to; only an approval gives it.',
} as const
export const SCOPE = 'id'
export const DEFAULT_PARAMETER = 'id'
export const SYSTEM_ONLY = ['tool.approved'] as const
