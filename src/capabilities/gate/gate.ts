/**
 * The one choke point: whether a call may be made, and what it may reach.
 *
 *   G1. Who calls is told by the context alone. Without thread and token it is the operator; the host is known by its own object; whoever
 *       names a thread must carry that thread's token.
 *   G2. A token that holds is not enough: the thread must be allowed to act at this moment, by its row in the registry.
 *   G3. What is not granted is refused; so is a parameter that should carry a scope and does not.
 */
import type { ExecutionContext } from '../../kernel/chain/primitive.ts'
import type { Authorize, Permission } from '../../kernel/contract.ts'
import { KiwiError } from '../../kernel/errors.ts'
import type { Gate, ItemQuestion, TokenAuthority, TokenClaims, TokenLedger, Vocabulary } from '../contract.ts'
import { categoryAllows } from '../permissions/category-rules.ts'
import { capabilityContains, capabilityCovers } from '../permissions/meet-grants.ts'
import { APPROVED } from '../tokens/approval-token.ts'
import { NOT_LIVE } from '../tokens/authority.ts'
import { settledStanding } from '../tokens/standing.ts'
import { containsValue } from '../scopes/scope-sets.ts'
import { tollOf } from './ai-folder.ts'
import { createThreadGrants, holds, operatorGrant, scopesOf } from './call-grant.ts'
import { denied, type Missing, missingApproval, missingCapability, missingScope, refusal } from './missing.ts'
import { type Wanted, wantedBy } from './wanted.ts'

export interface GateOptions {
  /** Null in a process that runs no threads: there no token is good. */
  readonly authority: Pick<TokenAuthority, 'verify'> | null
  readonly ledger: Pick<TokenLedger, 'standing'>
  readonly vocabulary: () => Promise<Vocabulary>
  /** The host's own calls carry this very object as `__auth`. */
  readonly hostAuthority: object
}

type AuthorizeRequest = Parameters<Authorize>[0]

type Caller =
  | { readonly kind: 'operator' }
  | { readonly kind: 'host' }
  | { readonly kind: 'thread'; readonly claims: TokenClaims }
  | { readonly kind: 'refused'; readonly permission: Permission }

export function createGate(options: GateOptions): Gate {
  const { vocabulary } = options
  const grants = createThreadGrants((threadId) => options.ledger.standing(threadId) === 'live')

  return {
    async authorize(request) {
      const caller = await callerOf(options, request.context)
      if (caller.kind === 'refused') return caller.permission
      if (caller.kind === 'host') return PERMITTED
      if (caller.kind === 'operator') return { permitted: true, grant: operatorGrant(request.chainRequires) }
      const { claims } = caller
      if (request.verb === 'sign') return signingRefused(request)
      const lacking = [
        ...lackingVerb(claims, request.verb),
        ...lackingItem(claims, request.verb, request),
        ...lackingDestination(claims, request),
        ...(request.requires.length === 0 ? [] : lackingRequires(claims, request, await vocabulary())),
      ]
      if (lacking.length > 0) return denied(lacking, claims)
      return { permitted: true, grant: grants.of(claims, request.chainRequires) }
    },
    async check({ verb, item, context }) {
      const caller = await callerOf(options, context)
      if (caller.kind === 'refused') return caller.permission
      if (caller.kind !== 'thread') return PERMITTED
      const { claims } = caller
      // What may be asked to be signed is what may be read.
      const use = verb === 'sign' ? 'load' : verb
      const lacking = [...lackingVerb(claims, verb), ...(item === null ? [] : lackingItem(claims, use, item))]
      return lacking.length > 0 ? denied(lacking, claims) : PERMITTED
    },
  }
}

const PERMITTED: Permission = { permitted: true }

async function callerOf(options: GateOptions, context: ExecutionContext): Promise<Caller> {
  const { __auth: auth, __thread_id: threadId } = context
  // G1
  if (auth === options.hostAuthority) return { kind: 'host' }
  if (auth === undefined && threadId === undefined) return { kind: 'operator' }
  if (typeof auth !== 'string' || threadId === undefined || options.authority === null)
    return invalidToken('The call names a thread and carries no token that this process gave out.')
  try {
    const claims = await options.authority.verify(auth)
    if (claims.threadId !== threadId) return invalidToken('The token of the call is that of another thread.')
    // G2
    const standing = await settledStanding(options.ledger, threadId)
    if (standing === 'live') return { kind: 'thread', claims }
    return invalidToken(`Thread ${threadId} may do nothing more: ${NOT_LIVE[standing]}.`)
  } catch (error) {
    if (error instanceof KiwiError && error.code === 'TOKEN_INVALID') return invalidToken(error.message)
    throw error
  }
}

function invalidToken(reason: string): Caller {
  return {
    kind: 'refused',
    permission: { permitted: false, code: 'TOKEN_INVALID', missing: ['a valid capability token'], suggestion: reason },
  }
}

function lackingVerb({ grants }: TokenClaims, verb: 'search' | 'load' | 'execute' | 'sign' | 'help'): readonly Missing[] {
  const id = `kiwi-mcp.${verb}`
  return holds(grants.capabilities, id) ? [] : [missingCapability(id)]
}

/** To read about a tool, `kiwi-mcp.load` is enough. A search marks what could not be executed. */
function lackingItem(
  { grants }: TokenClaims,
  verb: 'search' | 'load' | 'execute' | 'help',
  { itemType, itemId, category }: ItemQuestion,
): readonly Missing[] {
  if (itemType !== 'tool') {
    const rules = itemType === 'directive' ? grants.directives : grants.knowledge
    if (categoryAllows(rules, { category, id: itemId })) return []
    const block = itemType === 'directive' ? 'directives' : 'knowledge'
    return [
      refusal(
        `${itemType} ${JSON.stringify(itemId)}`,
        `The <${block}> lists of this thread, or of one above it, do not allow it.`,
      ),
    ]
  }
  if (verb === 'load' || verb === 'help') return []
  return containsValue(scopesOf(grants.capabilities, 'tool.execute'), itemId, 'id') ? [] : [missingScope('tool.execute', itemId)]
}

function lackingDestination({ grants }: TokenClaims, request: AuthorizeRequest): readonly Missing[] {
  const { destination, itemType, itemId, category } = request
  if (request.verb !== 'load' || destination === undefined) return []
  const { capabilities } = grants
  if (destination === 'user') return holds(capabilities, 'extractor.modify') ? [] : [missingCapability('extractor.modify')]
  if (itemType !== 'knowledge') {
    const id = `${itemType}.modify`
    return holds(capabilities, id) ? [] : [missingCapability(id)]
  }
  const path = ['.ai/knowledge', category, `${itemId}.md`].filter((part) => part !== '').join('/')
  return containsValue(scopesOf(capabilities, 'fs.write'), path, 'path') ? [] : [missingScope('fs.write', path)]
}

function lackingRequires(claims: TokenClaims, request: AuthorizeRequest, vocabulary: Vocabulary): readonly Missing[] {
  return request.requires
    .flatMap((requirement) => wantedBy(requirement, request.parameters, vocabulary))
    .flatMap((wanted) => lackingWanted(claims, wanted, { vocabulary, userSpace: request.context.__user_space }))
}

interface Surroundings {
  readonly vocabulary: Vocabulary
  readonly userSpace: string | undefined
}

function lackingWanted({ grants }: TokenClaims, wanted: Wanted, { vocabulary, userSpace }: Surroundings): readonly Missing[] {
  const { capabilities } = grants
  if (wanted.kind === 'refused') return [wanted.missing]
  if (wanted.kind === 'flag') return holds(capabilities, wanted.id) ? [] : [missingCapability(wanted.id)]
  const toll = tollOf(wanted, userSpace)
  const shown = wanted.kind === 'value' ? wanted.value : wanted.scope
  if (toll.kind === 'closed') return [refusal(`${wanted.id} ${JSON.stringify(shown)}`, `No permission opens it: ${toll.reason}.`)]
  if (wanted.id === APPROVED)
    return capabilityCovers(capabilities, { scope: shown, id: APPROVED }, vocabulary) ? [] : [missingApproval(shown)]
  const isHeld =
    wanted.kind === 'value'
      ? capabilityContains(capabilities, wanted, vocabulary)
      : capabilityCovers(capabilities, wanted, vocabulary)
  return [
    ...(isHeld ? [] : [missingScope(wanted.id, suggestedScope(wanted.id, shown))]),
    ...(toll.kind === 'capability' && !holds(capabilities, toll.id) ? [missingCapability(toll.id)] : []),
  ]
}

/** As a directive would write it: the whole project is a pattern, and the usual ports go without saying for a name. */
function suggestedScope(id: string, shown: string): string {
  if (id.startsWith('fs.')) return shown === '.' ? '**' : shown
  return /^[a-z][^:]*[^:\d.]:(?:80|443)$/.test(shown) && !shown.startsWith('localhost:') ? shown.replace(/:\d+$/, '') : shown
}

function signingRefused({ itemType, itemId }: AuthorizeRequest): Permission {
  return denied(
    [
      refusal(
        `the signature of a person for ${itemType} ${JSON.stringify(itemId)}`,
        'A thread cannot sign by itself. Its model calls sign, and a person decides.',
      ),
    ],
    null,
  )
}
