import type { Capabilities, TokenClaims } from '../../../capabilities/contract.ts'
import { containsValue } from '../../../capabilities/scopes/scope-sets.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { Actor } from '../../../threads/approvals/approval.ts'
import type { HarnessServices } from '../services.ts'
import { callingThread } from './thread-access.ts'

/** Who acts on threads: the operator, or a thread with what its token grants. `by` is how the log names them. */
export type Caller =
  | { readonly kind: 'operator'; readonly by: Actor }
  | { readonly kind: 'thread'; readonly threadId: string; readonly by: Actor; readonly capabilities: Capabilities }

/**
 * The caller of a thread tool, by the context alone. A thread without a token may do nothing.
 *
 * @throws {KiwiError} TOKEN_INVALID
 */
export async function callerOf(services: HarnessServices, context: ExecutionContext): Promise<Caller> {
  const threadId = callingThread(context)
  if (threadId === null) return { kind: 'operator', by: operatorAt(context) }
  const claims = await claimsOf(services, context, threadId)
  const by: Actor = { kind: 'thread', thread_id: threadId, token: claims?.jti ?? null }
  return { kind: 'thread', threadId, by, capabilities: claims?.grants.capabilities ?? {} }
}

/** Whether the caller's token grants a capability that has no scope. The operator has all. */
export function holds(caller: Caller, capability: string): boolean {
  return (
    caller.kind === 'operator' || (Object.hasOwn(caller.capabilities, capability) && caller.capabilities[capability] === true)
  )
}

/** Whether the caller may execute this tool. */
export function mayRun(caller: Caller, tool: string): boolean {
  if (caller.kind === 'operator') return true
  const scopes = Object.hasOwn(caller.capabilities, 'tool.execute') ? caller.capabilities['tool.execute'] : undefined
  return scopes !== undefined && scopes !== true && containsValue(scopes, tool, 'id')
}

function operatorAt({ __caller: caller }: ExecutionContext): Actor {
  const { door = 'library', client } = caller ?? {}
  return { kind: 'operator', door, ...(client === undefined || client === '' ? {} : { client: client.slice(0, MAX_NAME) }) }
}

/** A client names itself, so its name may be anything. */
const MAX_NAME = 128

async function claimsOf(
  { authority, hostAuthority }: HarnessServices,
  { __auth: auth }: ExecutionContext,
  threadId: string,
): Promise<TokenClaims | null> {
  if (authority === null) return null
  // The host acts for the thread itself, as for its hooks.
  const token = auth === hostAuthority ? await authority.current(threadId) : auth
  if (typeof token !== 'string') return null
  const claims = await authority.verify(token)
  if (claims.threadId === threadId) return claims
  throw new KiwiError('TOKEN_INVALID', `The capability token of this call is not that of thread ${threadId}.`)
}
