/** Processes run in the sandbox, with the files and hosts of the token and nothing else. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'Processes in the sandbox.'
export const CAPABILITIES = {
  'process.exec': 'Run programs and shell commands, within the files and hosts that are granted.',
} as const
