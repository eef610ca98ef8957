/** Databases, as tools of the project or of an MCP server reach them. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'Databases behind the tools that require this.'
export const CAPABILITIES = {
  'db.query': 'Read and change data by queries.',
  'db.migrate': 'Change the schema of a database.',
} as const
