import type { DirectiveDefinition, ItemProblem, SuccessCheck } from '../../kernel/items/item.ts'
import type { Capabilities } from '../contract.ts'
import { containsValue } from '../scopes/scope-sets.ts'

/** One thing that a check cannot do without, and the tag that grants it. */
interface Need {
  readonly capability: string
  /** What its scope must contain; null: it has none. */
  readonly value: string | null
  readonly language: 'id' | 'path'
  readonly tag: string
}

/**
 * Warnings for the success checks of a directive that its own permissions would let fail: the harness runs them as calls of the thread, of
 * `bash` and `file_info`.
 */
export function warnOfChecks(
  { checks }: Pick<DirectiveDefinition, 'checks'>,
  capabilities: Capabilities,
  file: string,
): readonly ItemProblem[] {
  const warned = new Set<string>()
  const warnings: ItemProblem[] = []
  for (const check of checks) {
    const missing = needsOf(check).filter((each) => !isHeld(each, capabilities))
    const fix = `Add to the permissions: ${missing.map(({ tag }) => `\`${tag}\``).join(', ')}.`
    // A second check that lacks the same is told by the first.
    if (missing.length === 0 || warned.has(fix)) continue
    warned.add(fix)
    const lacks = missing
      .map(({ capability, value }) => (value === null ? capability : `${capability} of ${value}`))
      .join(' and ')
    // The definition does not keep where in the file its checks stand.
    warnings.push({ file, line: 1, column: 1, reason: `the check of ${nameOf(check)} can never pass without ${lacks}`, fix })
  }
  return warnings
}

function needsOf(check: SuccessCheck): readonly Need[] {
  switch (check.type) {
    case 'command':
      return [...toolNeeds('bash'), need('process.exec', null, '<execute resource="shell"/>')]
    case 'file':
      return [
        ...toolNeeds('file_info'),
        { ...need('fs.read', check.path, `<read resource="filesystem" path="${check.path}"/>`), language: 'path' },
      ]
    case 'schema':
      return []
  }
}

function toolNeeds(id: string): readonly Need[] {
  return [
    need('kiwi-mcp.execute', null, '<execute resource="kiwi-mcp" action="execute"/>'),
    need('tool.execute', id, `<execute resource="tool" id="${id}"/>`),
  ]
}

function need(capability: string, value: string | null, tag: string): Need {
  return { capability, value, language: 'id', tag }
}

function isHeld({ capability, value, language }: Need, capabilities: Capabilities): boolean {
  const held = Object.hasOwn(capabilities, capability) ? capabilities[capability] : undefined
  if (held === undefined || held === true || value === null) return held !== undefined
  return containsValue(held, value, language)
}

function nameOf(check: SuccessCheck): string {
  if (check.type === 'command') return `the command \`${check.command.slice(0, 60)}\``
  return check.type === 'file' ? `the file \`${check.path.slice(0, 60)}\`` : 'the result'
}
