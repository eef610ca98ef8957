/** The registry of all threads of the project, past the rule that a thread sees only its own descendants. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'The registry of threads.'
export const CAPABILITIES = {
  'registry.read': 'Read the registry of threads.',
  'registry.write': 'Change the registry of threads.',
} as const
export const SYSTEM_ONLY = true
