import { KiwiError } from '../../../kernel/errors.ts'
import type { DirectiveDefinition, Item } from '../../../kernel/items/item.ts'
import type { HarnessServices } from '../services.ts'

/**
 * The directive of that name, from bytes whose signature was checked: its limits and grants are what was signed.
 *
 * @throws {KiwiError} ITEM_NOT_FOUND, ITEM_UNAVAILABLE, ITEM_UNSIGNED, ITEM_CHANGED.
 */
export async function findDirective(
  services: HarnessServices,
  name: string,
): Promise<{ readonly directive: DirectiveDefinition; readonly item: Item }> {
  const item = await services.kernel.require('directive', name)
  const { state } = item
  if (state.kind === 'available' && state.definition.kind === 'directive') return { directive: state.definition, item }
  throw new KiwiError('INTERNAL', `The kernel gave something else than the directive ${name}.`)
}
