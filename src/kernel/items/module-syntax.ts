import type { Program } from 'oxc-parser'
import type { Finding, SourceText } from './source-text.ts'

/** Syntax that Node does not run when it strips types, by AST node type. */
const UNSUPPORTED: ReadonlyMap<string, { readonly reason: string; readonly fix: string }> = new Map([
  [
    'TSEnumDeclaration',
    { reason: '`enum` does not run when types are only removed', fix: 'Write a `const` object or a union of texts.' },
  ],
  [
    'TSModuleDeclaration',
    { reason: '`namespace` does not run when types are only removed', fix: 'Export the names from the module itself.' },
  ],
  [
    'TSParameterProperty',
    { reason: 'parameter properties do not run when types are only removed', fix: 'Declare the field and assign it.' },
  ],
  [
    'TSImportEqualsDeclaration',
    { reason: '`import … =` does not run when types are only removed', fix: "Write `import … from '…'`." },
  ],
  ['TSExportAssignment', { reason: '`export =` does not run when types are only removed', fix: 'Write `export default`.' }],
  ['TSTypeAssertion', { reason: '`<Type>value` does not run when types are only removed', fix: 'Write `value as Type`.' }],
  ['Decorator', { reason: 'decorators do not run', fix: 'Call the function instead.' }],
])

/** Nodes of TypeScript whose content is kept at run time. */
const KEPT = new Set([
  'TSAsExpression',
  'TSSatisfiesExpression',
  'TSNonNullExpression',
  'TSInstantiationExpression',
  'TSParameterProperty',
])

export interface SyntaxReport {
  readonly problems: readonly Finding[]
  readonly warnings: readonly Finding[]
}

/** What parses but does not run: TypeScript that needs a compiler, and imports of types that stay in the code. */
export function checkModuleSyntax(program: Program, source: SourceText): SyntaxReport {
  const problems: Finding[] = []
  const values = new Set<string>()
  const types = new Set<string>()
  visit(program, (node, inType) => {
    const unsupported = isDeclaredOnly(node) ? undefined : UNSUPPORTED.get(node.type)
    if (unsupported !== undefined) problems.push({ ...source.position(node.start), ...unsupported })
    if (node.type === 'Identifier' && typeof node['name'] === 'string') (inType ? types : values).add(node['name'])
  })
  const warnings: Finding[] = []
  for (const statement of program.body) {
    if (statement.type !== 'ImportDeclaration' || statement.importKind === 'type') continue
    for (const specifier of statement.specifiers) {
      const { name } = specifier.local
      if (specifier.type !== 'ImportSpecifier' || specifier.importKind === 'type' || values.has(name) || !types.has(name))
        continue
      const reason = `\`${name}\` is used as a type only, but its import stays in the code and fails when the module exports no value of that name`
      warnings.push({ ...source.position(specifier.start), reason, fix: `Write \`import type { ${name} }\`.` })
    }
  }
  return { problems, warnings }
}

interface AnyNode {
  readonly type: string
  readonly start: number
  readonly [field: string]: unknown
}

/** Walks without recursion; `inType` is true below a type. The names that import and export statements declare are not visited. */
function visit(program: Program, onNode: (node: AnyNode, inType: boolean) => void): void {
  const pending: { readonly value: unknown; readonly inType: boolean }[] = [{ value: program.body, inType: false }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { value, inType } = next
    if (Array.isArray(value)) for (const entry of value) pending.push({ value: entry, inType })
    else if (isNode(value) && value.type !== 'ImportDeclaration') {
      onNode(value, inType)
      const below = inType || (value.type.startsWith('TS') && !KEPT.has(value.type))
      for (const [field, child] of Object.entries(value)) {
        if (typeof child === 'object' && child !== null && !isPropertyName(value, field))
          pending.push({ value: child, inType: below })
      }
    }
  }
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

function isPropertyName(node: AnyNode, field: string): boolean {
  return (field === 'property' || field === 'key') && node['computed'] === false && node['shorthand'] !== true
}

function isDeclaredOnly(node: AnyNode): boolean {
  return node['declare'] === true
}
