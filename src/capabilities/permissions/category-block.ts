import type { PermissionTag } from '../../kernel/items/item.ts'
import { suggestName } from '../../kernel/items/nearest-name.ts'
import type { CategoryRule } from '../contract.ts'
import { parseIdScope } from '../scopes/id-scope.ts'
import type { PermissionFindings } from './permission-findings.ts'

const CATEGORY = /^(?:\*|[A-Za-z0-9_][\w.-]*(?:\/[A-Za-z0-9_][\w.-]*)*)$/
/** The lists that a block may have. There are no lists of single knowledge items. */
const LISTS: Readonly<Record<string, readonly ListName[]>> = {
  orchestration: ['allow_categories', 'deny_categories', 'allow_directives', 'deny_directives'],
  directives: ['allow_categories', 'deny_categories', 'allow_directives', 'deny_directives'],
  knowledge: ['allow_categories', 'deny_categories'],
}
type ListName = 'allow_categories' | 'deny_categories' | 'allow_directives' | 'deny_directives'

/**
 * The rules of an `<orchestration>`, `<knowledge>` or `<directives>` block: none when it limits nothing. A list is a child tag or an
 * attribute; its names are separated by commas or blanks, or stand in tags of their own.
 */
export function readCategoryBlock(tag: PermissionTag, findings: PermissionFindings): readonly CategoryRule[] {
  const known = LISTS[tag.tag] ?? []
  findings.onlyAttributes(tag, tag.tag === 'orchestration' ? ['enabled', ...known] : known)
  if (tag.text !== '')
    findings.problem(tag, `\`<${tag.tag}>\` has text outside of a list`, `Write it as \`<${known[0]}>…</${known[0]}>\`.`)
  for (const child of tag.children) {
    if (!known.some((name) => name === child.tag))
      findings.problem(child, `\`<${tag.tag}>\` has no list \`<${child.tag}>\``, suggestName(child.tag, known))
    findings.onlyAttributes(child, [])
  }
  const list = (name: ListName): readonly string[] | null => (known.includes(name) ? readList(tag, name, findings) : null)
  const rule: CategoryRule = {
    allowCategories: list('allow_categories'),
    denyCategories: list('deny_categories') ?? [],
    allowIds: list('allow_directives'),
    denyIds: list('deny_directives') ?? [],
  }
  const limits = rule.allowCategories !== null || rule.allowIds !== null || rule.denyCategories.length + rule.denyIds.length > 0
  return limits ? [rule] : []
}

function readList(tag: PermissionTag, name: ListName, findings: PermissionFindings): readonly string[] | null {
  const children = tag.children.filter((child) => child.tag === name)
  const attribute = Object.hasOwn(tag.attributes, name) ? tag.attributes[name] : undefined
  const texts = [...(attribute === undefined ? [] : [attribute]), ...children.map(allText)]
  if (texts.length === 0) return null
  if (texts.length > 1) findings.problem(tag, `\`${name}\` is written more than once`, 'Put all names into one list.')
  const names = [...new Set(texts.join(' ').split(/[\s,]+/))].filter((text) => text !== '').toSorted()
  const where = children[0] ?? tag
  for (const text of names) checkName(text, name, { where, findings })
  if (names.length === 0 && name.startsWith('allow_'))
    findings.warn(where, `\`${name}\` is empty, so it allows nothing`, 'Name what is allowed, or remove the list to allow all.')
  return names
}

function checkName(
  text: string,
  name: ListName,
  { where, findings }: { readonly where: PermissionTag; readonly findings: PermissionFindings },
): void {
  if (name.endsWith('_categories')) {
    if (CATEGORY.test(text)) return
    const fix =
      'Write the folder below directives/ or knowledge/, such as `quality` or `quality/style`; it includes what is below.'
    findings.problem(where, `\`${text}\` in \`${name}\` is not a category`, fix)
    return
  }
  const outcome = parseIdScope(text)
  if (outcome.kind === 'refused') findings.problem(where, `\`${text}\` in \`${name}\`: ${outcome.reason}`, outcome.fix)
}

function allText(tag: PermissionTag): string {
  return [tag.text, ...tag.children.map(allText)].join(' ')
}
