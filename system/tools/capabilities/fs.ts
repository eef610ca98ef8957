/** Files of the project. Scopes are relative to it; every other place needs `fs.absolute`. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'Files and folders of the project.'
export const CAPABILITIES = {
  'fs.read': 'Read files and list folders.',
  'fs.write': 'Create and change files; brings fs.read of the same scope.',
  'fs.delete': 'Delete files.',
  'fs.absolute': 'Name files outside of the project.',
} as const
export const SCOPE = 'path'
export const DEFAULT_PARAMETER = 'path'
export const IMPLIES = { 'fs.write': ['fs.read'] } as const
export const SYSTEM_ONLY = ['fs.absolute'] as const
