import type { Grants } from '../contract.ts'
import { type CategorizedItem, categoryAllows } from '../permissions/category-rules.ts'

/** Whether a thread with these grants may spawn this directive. Without `<orchestration>` it may spawn none. */
export function maySpawn(grants: Pick<Grants, 'orchestration'>, directive: CategorizedItem): boolean {
  return grants.orchestration !== null && categoryAllows(grants.orchestration, directive)
}
