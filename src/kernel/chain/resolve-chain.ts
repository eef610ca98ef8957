import { KiwiError, type ErrorCode } from '../errors.ts'
import type { VerifiedItem } from '../items/item-store.ts'
import type { ToolDefinition } from '../items/item.ts'
import type { TrustedItems } from './trusted-items.ts'

/** One verified tool of a chain. */
export interface Link {
  readonly id: string
  readonly tool: ToolDefinition
  readonly verified: VerifiedItem
}

/** Leaf first, its primitive last; a primitive alone is a chain of one. */
export interface Chain {
  readonly ids: readonly string[]
  readonly leaf: Link
  readonly primitive: Link
  readonly links: readonly Link[]
}

const MAX_LINKS = 32

/**
 * Follows `executor_id` from a tool to its primitive. Every link is verified on the way.
 *
 * @throws {KiwiError} of the leaf as it is (ITEM_NOT_FOUND, ITEM_UNSIGNED, …); for anything behind it, an unsigned link keeps its code,
 *   and a cycle, a missing or broken link and an end that is no primitive are TOOL_CHAIN_FAILED with `failed_at` naming the link.
 */
export async function resolveChain(items: TrustedItems, toolId: string): Promise<Chain> {
  const links: Link[] = []
  let nextId: string | null = toolId
  while (nextId !== null) {
    const ids: readonly string[] = [...links.map((link) => link.id), nextId]
    if (links.some((link) => link.id === nextId)) throw broken(links, ids, `${ids.join(' → ')} is a cycle.`)
    if (ids.length > MAX_LINKS) throw broken(links, ids, `The chain has more than ${MAX_LINKS} links.`)
    const link: Link = await requireLink(items, nextId, { links, ids })
    links.push(link)
    nextId = link.tool.toolType === 'primitive' ? null : link.tool.executorId
  }
  const [leaf] = links
  const primitive = links.at(-1)
  if (leaf === undefined || primitive === undefined) throw new KiwiError('INTERNAL', 'A tool chain cannot be empty.')
  const ids = links.map((link) => link.id)
  if (primitive.tool.toolType !== 'primitive')
    throw broken(links, ids, `The chain ends at "${primitive.id}", which is no primitive and names no executor.`)
  return { ids, leaf, primitive, links }
}

interface Walk {
  readonly links: readonly Link[]
  readonly ids: readonly string[]
}

async function requireLink(items: TrustedItems, id: string, { links, ids }: Walk): Promise<Link> {
  try {
    const verified = await items.require('tool', id)
    const { state } = verified.item
    if (state.kind !== 'available' || state.definition.kind !== 'tool') throw new KiwiError('INTERNAL', `"${id}" is not a tool.`)
    return { id, tool: state.definition, verified }
  } catch (error) {
    if (!(error instanceof KiwiError)) throw error
    throw links.length === 0 ? atLink(error, id, ids) : linkError(error, id, { links, ids })
  }
}

function linkError(error: KiwiError, id: string, { links, ids }: Walk): KiwiError {
  if (error.code === 'ITEM_UNSIGNED' || error.code === 'ITEM_CHANGED') return atLink(error, id, ids)
  if (error.code === 'ITEM_NOT_FOUND' || error.code === 'INVALID_REQUEST') {
    return broken(
      links,
      ids,
      `There is no tool named "${id}", which "${links.at(-1)?.id}" names as its executor.`,
      'ITEM_NOT_FOUND',
    )
  }
  return new KiwiError('TOOL_CHAIN_FAILED', `The link "${id}" of ${ids.join(' → ')} cannot be used.`, {
    ...error.context,
    error,
    chain: ids,
    failedAt: { tool_id: id, config_path: null, validation_errors: [] },
    cause: { code: error.code, message: error.message },
  })
}

/** The same error with the chain that was walked and the link it happened at. */
function atLink(error: KiwiError, id: string, chain: readonly string[]): KiwiError {
  return new KiwiError(error.code, error.message, {
    ...error.context,
    error: error.cause,
    chain: error.context.chain ?? chain,
    failedAt: error.context.failedAt ?? { tool_id: id, config_path: null, validation_errors: [] },
  })
}

/** The last link names a wrong executor. */
function broken(
  links: readonly Link[],
  ids: readonly string[],
  message: string,
  cause: ErrorCode = 'CONFIG_VALIDATION_ERROR',
): KiwiError {
  const last = links.at(-1)
  return new KiwiError('TOOL_CHAIN_FAILED', message, {
    chain: ids,
    failedAt: {
      tool_id: last?.id ?? '',
      config_path: 'executor_id',
      validation_errors: [{ field: 'executor_id', error: message, value: last?.tool.executorId ?? null }],
    },
    cause: { code: cause, message },
    suggestion: `Give "${last?.id ?? ''}" an executor_id that leads to a primitive.`,
  })
}
