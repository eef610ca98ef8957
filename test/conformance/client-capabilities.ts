import { CLIENT_CAPABILITIES_META_KEY, type ClientCapabilities, type ServerContext } from '@modelcontextprotocol/server'

/** What the client of this very request can do. Clients of the 2025 era say it once, in `initialize`, which this does not look at. */
export function capabilitiesOf(context: ServerContext): ClientCapabilities {
  // The library checks the envelope of a request before a handler runs, and its type leaves the keys out.
  const envelope = (context.mcpReq.envelope ?? {}) as { readonly [CLIENT_CAPABILITIES_META_KEY]?: ClientCapabilities }
  return envelope[CLIENT_CAPABILITIES_META_KEY] ?? {}
}
