/** Creating threads with any id and any harness, below what `thread_directive` checks. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'Creating threads without the checks of thread_directive.'
export const CAPABILITIES = {
  'spawn.thread': 'Create threads with any id and any harness.',
} as const
export const SYSTEM_ONLY = true
