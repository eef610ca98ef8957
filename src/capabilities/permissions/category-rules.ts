import type { CategoryRule } from '../contract.ts'
import { containsValue } from '../scopes/scope-sets.ts'

/** What a rule is asked about: an item by its category (folder) and id. */
export interface CategorizedItem {
  readonly category: string
  readonly id: string
}

/**
 * Whether all rules let the item through; no rule limits nothing. A deny wins. With an allow list of categories or ids, one of them must
 * match. A category stands for itself and the folders below it, `*` for every category; an id may end in `*`.
 */
export function categoryAllows(rules: readonly CategoryRule[], item: CategorizedItem): boolean {
  return rules.every((rule) => ruleAllows(rule, item))
}

function ruleAllows(rule: CategoryRule, item: CategorizedItem): boolean {
  // On a file system that ignores case another spelling may name the same item, so denials ignore it too.
  const folded = { category: item.category.toLowerCase(), id: item.id.toLowerCase() }
  if (rule.denyCategories.some((name) => isWithin(folded.category, name.toLowerCase()))) return false
  if (rule.denyIds.some((id) => containsValue([id.toLowerCase()], folded.id, 'id'))) return false
  if (rule.allowCategories === null && rule.allowIds === null) return true
  if (rule.allowCategories?.some((name) => isWithin(item.category, name)) === true) return true
  return rule.allowIds !== null && containsValue(rule.allowIds, item.id, 'id')
}

function isWithin(category: string, name: string): boolean {
  return name === '*' || category === name || category.startsWith(`${name}/`)
}

/** Whether two rules say the same, word for word. */
export function sameRule(left: CategoryRule, right: CategoryRule): boolean {
  return (
    sameList(left.allowCategories, right.allowCategories) &&
    sameList(left.denyCategories, right.denyCategories) &&
    sameList(left.allowIds, right.allowIds) &&
    sameList(left.denyIds, right.denyIds)
  )
}

function sameList(left: readonly string[] | null, right: readonly string[] | null): boolean {
  if (left === null || right === null) return left === right
  return left.length === right.length && left.every((text, index) => text === right[index])
}
