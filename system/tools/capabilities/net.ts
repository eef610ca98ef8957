/** Requests to hosts. A private address needs a scope that names it with its port. */
export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const __category__ = 'capabilities'
export const DESCRIPTION = 'Network requests to named hosts.'
export const CAPABILITIES = {
  'net.http': 'Send HTTP and HTTPS requests.',
  'net.websocket': 'Open WebSocket connections.',
} as const
export const SCOPE = 'host'
export const DEFAULT_PARAMETER = 'url'
