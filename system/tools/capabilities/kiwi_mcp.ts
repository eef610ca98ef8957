/** The five meta-tools. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'The meta-tools that a thread may call.'
export const CAPABILITIES = {
  'kiwi-mcp.search': 'Find items.',
  'kiwi-mcp.load': 'Read items.',
  'kiwi-mcp.execute': 'Call tools, and read the steps of directives; brings search, load and help.',
  'kiwi-mcp.sign': 'Ask for a signature; a thread never signs by itself.',
  'kiwi-mcp.help': 'Read the help.',
} as const
export const IMPLIES = { 'kiwi-mcp.execute': ['kiwi-mcp.search', 'kiwi-mcp.load', 'kiwi-mcp.help'] } as const
