/** `thread.orchestrate` is given by `<orchestration enabled="true">`, whose lists say which directives may be spawned. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'Spawning threads of directives, and steering them.'
export const CAPABILITIES = {
  'thread.orchestrate':
    'Spawn directives on threads of their own, and read, wait for, message, pause, resume, cancel, retry and fork them, and give them money of its own.',
  'thread.approve': 'Answer what threads below ask: let them call a tool or go on, or give them money of its own.',
} as const
