import type { CostLimits } from '../../kernel/items/item.ts'
import type { ThreadStart } from '../../threads/engine.ts'

/** The limits that a thread without a directive was spawned with; null for one that runs a directive. */
export function limitsOf({ options }: Pick<ThreadStart, 'options'>): CostLimits | null {
  const { cost } = options
  // Only `spawnHarness` writes it, with limits that it has checked.
  return cost === undefined ? null : (cost as unknown as CostLimits)
}
