import type { Grant } from '../../primitives/sandbox/contract.ts'
import type { JsonObject } from '../../json.ts'
import type { Authorize } from '../contract.ts'
import { KiwiError } from '../errors.ts'
import type { Item, Requirement } from '../items/item.ts'
import type { ExecutionContext } from './primitive.ts'

/** A part of a call that is asked for on its own: what it requires is met by its own parameters. */
export interface CallPart {
  readonly item: Pick<Item, 'id' | 'category'>
  readonly requires: readonly Requirement[]
  readonly parameters: JsonObject
}

/** What all questions about one call have in common. */
export interface CallReach {
  /** Ids of the chain, leaf first, for errors. */
  readonly chain: readonly string[]
  readonly chainRequires: readonly Requirement[]
  readonly context: ExecutionContext
}

/**
 * What the sink of a project or a user may reach. The destination of a signed file is its owner's: that sink gets what it requires on the
 * operator's authority, whoever calls, and nothing of it goes to the tool. A destination that the caller shaped reaches what the call may;
 * the host's own calls have no grant, and act for the operator too.
 *
 * @throws {KiwiError} as `askForPart`.
 */
export async function sinkGrant(
  authorize: Authorize | undefined,
  part: CallPart,
  { chain, context, isFixed }: Pick<CallReach, 'chain' | 'context'> & { readonly isFixed: boolean },
): Promise<Grant | undefined> {
  const { __grant: ofTheCall, projectPath } = context
  if (!isFixed && ofTheCall !== undefined) return ofTheCall
  const grant = await askForPart(authorize, part, { chain, chainRequires: part.requires, context: { projectPath } })
  // It ends with whoever called.
  return grant === undefined || ofTheCall === undefined ? grant : { ...grant, isLive: ofTheCall.isLive }
}

/**
 * Asks for one part of a call and gives the grant of the whole call, when there is one. Without a port everything is permitted.
 *
 * @throws {KiwiError} PERMISSION_DENIED, or the code of the answer, with the fact `missing`.
 */
export async function askForPart(authorize: Authorize | undefined, part: CallPart, reach: CallReach): Promise<Grant | undefined> {
  const { item, requires, parameters } = part
  const { chain, chainRequires, context } = reach
  const { id, category } = item
  const answer = await authorize?.({
    verb: 'execute',
    itemType: 'tool',
    itemId: id,
    category,
    requires,
    chainRequires,
    parameters,
    context,
  })
  if (answer === undefined) return undefined
  if (answer.permitted) return answer.grant
  const { code = 'PERMISSION_DENIED', missing, suggestion } = answer
  throw new KiwiError(code, `"${id}" may not be executed here: ${missing.join(', ')} is missing.`, {
    chain,
    suggestion,
    facts: { missing },
  })
}
