import type { ItemProblem, PermissionTag } from '../../kernel/items/item.ts'
import { suggestName } from '../../kernel/items/nearest-name.ts'

/** Collects what is wrong with the tags of one `<permissions>` section. */
export interface PermissionFindings {
  readonly problems: readonly ItemProblem[]
  readonly warnings: readonly ItemProblem[]
  problem(tag: PermissionTag, reason: string, fix: string): void
  warn(tag: PermissionTag, reason: string, fix: string): void
  /** Every other attribute is a problem. */
  onlyAttributes(tag: PermissionTag, known: readonly string[]): void
  /** A tag whose meaning is in its attributes has no text and no tags inside. */
  noContent(tag: PermissionTag): void
}

/** `file` is shown with each finding. */
export function createPermissionFindings(file: string): PermissionFindings {
  const problems: ItemProblem[] = []
  const warnings: ItemProblem[] = []
  const at = (tag: PermissionTag): { readonly file: string; readonly line: number; readonly column: number } => ({
    file,
    line: tag.line,
    column: 1,
  })
  const problem: PermissionFindings['problem'] = (tag, reason, fix) => {
    problems.push({ ...at(tag), reason, fix })
  }
  return {
    problems,
    warnings,
    problem,
    warn: (tag, reason, fix) => {
      warnings.push({ ...at(tag), reason, fix })
    },
    onlyAttributes(tag, known) {
      for (const name of Object.keys(tag.attributes)) {
        if (!known.includes(name)) problem(tag, `\`<${tag.tag}>\` has no attribute \`${name}\``, suggestName(name, known))
      }
    },
    noContent(tag) {
      if (tag.text !== '' || tag.children.length > 0)
        problem(tag, `\`<${tag.tag}>\` has content, which nothing reads`, `Write \`${shownTag(tag)}\`.`)
    },
  }
}

/** The tag as it is written without content. */
export function shownTag(tag: Pick<PermissionTag, 'tag' | 'attributes'>): string {
  const attributes = Object.entries(tag.attributes).map(([name, value]) => ` ${name}=${JSON.stringify(value.slice(0, 120))}`)
  return `<${tag.tag}${attributes.join('')}/>`
}
