import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { DirectiveDefinition, Item, ItemProblem, Space } from '../../../src/kernel/items/item.ts'
import { vocabularyOf } from '../../../src/capabilities/permissions/vocabulary.ts'
import type { Vocabulary } from '../../../src/capabilities/contract.ts'
import { declaredGrants } from '../../../src/capabilities/permissions/declared-grants.ts'
import type { DeclaredGrants } from '../../../src/capabilities/permissions/declared-grants.ts'
import { parseDirectiveText, parseTool } from '../../kernel/items/parse.ts'

const MODULES: string = join(import.meta.dirname, '..', '..', '..', 'system', 'tools', 'capabilities')

export type CapabilityModule = Parameters<typeof vocabularyOf>[0][number]

/** A capability module as the kernel gives it, from its text. */
export function capabilityModule(file: string, text: string, space: Space): CapabilityModule {
  const definition = parseTool(file, text)
  assert(definition.capability)
  const item: Item = {
    type: 'tool',
    id: definition.toolId,
    space,
    category: 'capabilities',
    description: definition.capability.description,
    version: definition.version,
    path: `/nowhere/${file}`,
    file: `${space}/tools/capabilities/${file}`,
    state: { kind: 'available', definition },
    warnings: [],
  }
  return { item, declaration: definition.capability }
}

/** The modules in `system/tools/capabilities`, as they are shipped. */
export const SHIPPED_MODULES: readonly CapabilityModule[] = readdirSync(MODULES).map((file) =>
  capabilityModule(file, readFileSync(join(MODULES, file), 'utf8'), 'system'),
)

export const SHIPPED: Vocabulary = vocabularyOf(SHIPPED_MODULES)

/** Line of the first entry in directives made by `directiveWith`. */
export const FIRST_LINE = 7

/** A directive whose permissions are these lines. */
export function directiveWith(permissions: string): DirectiveDefinition {
  return parseDirectiveText(
    'worker.md',
    `# Worker

\`\`\`xml
<directive name="worker" version="1.0.0">
  <metadata><description>Works.</description>
  <permissions>
${permissions}
  </permissions></metadata>
  <process><step name="work">Work.</step></process>
</directive>
\`\`\`
`,
  )
}

export function declare(
  permissions: string,
  options: { readonly space?: Space; readonly vocabulary?: Vocabulary } = {},
): DeclaredGrants {
  return declaredGrants(directiveWith(permissions), options.vocabulary ?? SHIPPED, { space: options.space ?? 'project' })
}

/** Declares what must be without problems. */
export function granted(permissions: string, space: Space = 'project'): DeclaredGrants['grants'] {
  const { grants, problems } = declare(permissions, { space })
  assert.deepEqual(problems, [])
  return grants
}

/** The one problem of a wrong entry. */
export function problemOf(permissions: string, options: Parameters<typeof declare>[1] = {}): ItemProblem {
  const { problems } = declare(permissions, options)
  assert.equal(problems.length, 1, JSON.stringify(problems))
  const [problem] = problems
  assert(problem)
  assert.notEqual(problem.fix, '')
  return problem
}
