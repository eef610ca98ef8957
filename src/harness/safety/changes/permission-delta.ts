import type { CategoryRule, Grants } from '../../../capabilities/contract.ts'

/** Grants that a change takes away or adds, each as a line such as `fs.write docs/**`. */
export interface PermissionDelta {
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

/** Null stands for nothing at all, as where there is no version that anybody trusted. */
export function permissionDelta(before: Grants | null, after: Grants): PermissionDelta {
  const earlier = before === null ? [] : grantLines(before)
  const later = grantLines(after)
  return {
    added: later.filter((line) => !earlier.includes(line)),
    removed: earlier.filter((line) => !later.includes(line)),
  }
}

function grantLines({ capabilities, orchestration, knowledge, directives }: Grants): readonly string[] {
  return [
    ...Object.entries(capabilities).flatMap(([id, scopes]) => (scopes === true ? [id] : scopes.map((scope) => `${id} ${scope}`))),
    ...(orchestration === null ? [] : [`orchestration ${rulesText(orchestration)}`]),
    `knowledge ${rulesText(knowledge)}`,
    `directives ${rulesText(directives)}`,
  ]
}

/** A block that limits nothing allows all, so that to lose its lists is to be granted more. */
function rulesText(rules: readonly CategoryRule[]): string {
  return rules.length === 0 ? '(all)' : `(${rules.map(ruleText).join('; ')})`
}

function ruleText({ allowCategories, allowIds, denyCategories, denyIds }: CategoryRule): string {
  const lists: readonly (readonly [string, readonly string[] | null])[] = [
    ['allow_categories', allowCategories],
    ['allow_directives', allowIds],
    ['deny_categories', denyCategories.length === 0 ? null : denyCategories],
    ['deny_directives', denyIds.length === 0 ? null : denyIds],
  ]
  return lists.flatMap(([name, values]) => (values === null ? [] : [`${name}: ${values.join(' ') || 'none'}`])).join(', ')
}
