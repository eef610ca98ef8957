/** External MCP servers. `mcp.<server>` in a tool's requires is mcp.connect with that server. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'External MCP servers.'
export const CAPABILITIES = {
  'mcp.connect': 'Call an external MCP server; also written mcp.<server>.',
} as const
export const SCOPE = 'id'
export const DEFAULT_PARAMETER = 'server'
