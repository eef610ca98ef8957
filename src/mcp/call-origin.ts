import { CLIENT_INFO_META_KEY, type Server, type ServerContext } from '@modelcontextprotocol/server'
import type { ExecutionContext } from '../kernel/chain/primitive.ts'

/** By which door a request came, and how its client calls itself. A name proves nothing; it is for people who read the log. */
export function callOrigin(context: ServerContext, server?: Server): NonNullable<ExecutionContext['__caller']> {
  const door = context.http === undefined ? 'mcp' : 'http'
  // In the older era a client says who it is once, and only the server knows it.
  const client = nameIn(context.mcpReq.envelope) ?? server?.getClientVersion()?.name
  return { door, ...(client === undefined ? {} : { client }) }
}

function nameIn(envelope: unknown): string | undefined {
  if (!isObject(envelope)) return undefined
  const info = envelope[CLIENT_INFO_META_KEY]
  return isObject(info) && typeof info['name'] === 'string' ? info['name'] : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
