import { CLIENT_CAPABILITIES_META_KEY, type Server, type ServerContext } from '@modelcontextprotocol/server'

/** A request that the client did not say it can answer is not made. The newer era says so in each request, the older one once. */
export function showsForms({ mcpReq }: ServerContext, server?: Server): boolean {
  const envelope: unknown = mcpReq.envelope
  const capabilities = isObject(envelope) ? envelope[CLIENT_CAPABILITIES_META_KEY] : server?.getClientCapabilities()
  const elicitation = isObject(capabilities) ? capabilities['elicitation'] : undefined
  // Before there were kinds of them, all were forms.
  return isObject(elicitation) && (elicitation['form'] !== undefined || elicitation['url'] === undefined)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
