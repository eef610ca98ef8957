/** Repositories, as tools that wrap git reach them; the folder `.git` itself is closed to file tools. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'Repositories behind the tools that require this.'
export const CAPABILITIES = {
  'git.read': 'Read history, status and differences.',
  'git.push': 'Send commits to a remote.',
} as const
