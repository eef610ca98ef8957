import type { Review, ReviewFindings } from '../../kernel/contract.ts'
import { isJsonObject } from '../../kernel/items/field-reader.ts'
import type { DirectiveDefinition, Item, ItemProblem, Requirement, ToolDefinition } from '../../kernel/items/item.ts'
import { suggestName } from '../../kernel/items/nearest-name.ts'
import { parseText } from '../../kernel/template/placeholder.ts'
import type { Vocabulary } from '../contract.ts'
import { parseScope } from '../scopes/scope-sets.ts'
import type { ScopeLanguage } from '../scopes/scope-sets.ts'
import { warnOfChecks } from './check-permissions.ts'
import { declaredGrants } from './declared-grants.ts'
import { namedCapability, scopeKeys } from './vocabulary.ts'

const NOTHING: ReviewFindings = { problems: [], warnings: [] }

/**
 * The kernel's `review` port: what is wrong with the permissions of a directive, and with what a tool requires. A tool may require what is
 * system-only; then no other directive can call it. What a directive can hardly mean is a warning.
 */
export function createReview({ vocabulary }: { readonly vocabulary: () => Promise<Vocabulary> }): Review {
  return async (item) => {
    if (item.state.kind !== 'available') return NOTHING
    const { definition } = item.state
    switch (definition.kind) {
      case 'directive':
        if (definition.permissions === null) return NOTHING
        return directiveFindings(definition, await vocabulary(), item)
      case 'tool':
        if (definition.requires.length === 0) return NOTHING
        return { problems: requirementProblems(item, definition, await vocabulary()), warnings: [] }
      case 'knowledge':
        return NOTHING
    }
  }
}

function directiveFindings(
  directive: DirectiveDefinition,
  vocabulary: Vocabulary,
  { space, file }: Pick<Item, 'space' | 'file'>,
): ReviewFindings {
  const { grants, problems, warnings } = declaredGrants(directive, vocabulary, { space, file })
  return { problems, warnings: [...warnings, ...warnOfChecks(directive, grants.capabilities, file)] }
}

/** What is wrong with the `requires` of a tool. */
function requirementProblems(item: Pick<Item, 'file'>, tool: ToolDefinition, vocabulary: Vocabulary): readonly ItemProblem[] {
  return tool.requires.flatMap((requirement) =>
    // The definition does not keep where in the file its entries stand.
    faultsOf(requirement, tool, vocabulary).map((fault) => ({ file: item.file, line: 1, column: 1, ...fault })),
  )
}

interface Fault {
  readonly reason: string
  readonly fix: string
}

function faultsOf(requirement: Requirement, tool: ToolDefinition, vocabulary: Vocabulary): readonly Fault[] {
  const name = typeof requirement === 'string' ? requirement : requirement.cap
  const found = namedCapability(name, vocabulary)
  if (found === null) {
    const known = vocabulary.list().map(({ id }) => id)
    return [{ reason: `\`requires\` names \`${name}\`, which no capability module declares`, fix: suggestName(name, known) }]
  }
  const { info, scope } = found
  if (scope !== null && info.scope !== null) {
    if (typeof requirement !== 'string')
      return [{ reason: `\`${name}\` names its ${scopeKeys(info)[0] ?? 'scope'} twice`, fix: `Write \`- ${name}\`.` }]
    return scopeFaults(name, scope, info.scope)
  }
  if (typeof requirement === 'string') return []
  const keys = scopeKeys(info)
  const entries = Object.entries(requirement.scope)
  const [entry] = entries
  if (info.scope === null) return [{ reason: `\`${name}\` has no scope`, fix: `Write \`- ${name}\`.` }]
  if (entry === undefined || entries.length > 1 || !keys.includes(entry[0])) {
    const written = entries.map(([key]) => `\`${key}\``).join(', ') || 'nothing'
    const fix = `Write \`{cap: ${name}, scope: {${keys[0]}: …}}\`.`
    return [{ reason: `the scope of \`${name}\` must have the key \`${keys[0]}\` alone, found ${written}`, fix }]
  }
  return templateFaults(name, entry[1], { tool, language: info.scope })
}

/** A scope with placeholders is checked with a plain value in the place of each. */
function templateFaults(
  name: string,
  text: string,
  { tool, language }: { readonly tool: ToolDefinition; readonly language: ScopeLanguage },
): readonly Fault[] {
  const parts = partsOf(text)
  if (parts === null || parts.some((part) => part.kind === 'environment')) {
    const fix = 'Write `{name}` for a parameter of the tool; the environment has no say in permissions.'
    return [{ reason: `the scope \`${text}\` of \`${name}\` has a \`\${…}\` or a \`{a.b}\``, fix }]
  }
  const known = parameterNames(tool)
  let plain = ''
  for (const part of parts) {
    if (part.kind === 'text') plain += part.text
    else if (part.kind === 'parameter') {
      if (known !== null && !known.includes(part.name)) {
        const reason = `the scope \`${text}\` of \`${name}\` names \`{${part.name}}\`, which is no parameter of the tool`
        return [{ reason, fix: known.length === 0 ? 'Declare the parameter.' : suggestName(part.name, known) }]
      }
      // A whole host may hold its port; after `host:` only a number can stand.
      plain += language === 'host' ? (plain.endsWith(':') ? '80' : 'host') : 'x'
    }
  }
  return scopeFaults(name, plain, language)
}

function partsOf(text: string): ReturnType<typeof parseText> | null {
  try {
    return parseText(text, [])
  } catch {
    // The only error is a placeholder that cannot be read; the caller says what may be written.
    return null
  }
}

function scopeFaults(name: string, text: string, language: ScopeLanguage): readonly Fault[] {
  const outcome = parseScope(text, language)
  if (outcome.kind === 'scope') return []
  return [
    { reason: `the scope \`${text}\` of \`${name}\`, character ${outcome.offset + 1}: ${outcome.reason}`, fix: outcome.fix },
  ]
}

/** What a placeholder may name; null when the schema is open. A primitive's requirements are met by its configuration. */
function parameterNames(tool: ToolDefinition): readonly string[] | null {
  const schema = tool.toolType === 'primitive' ? tool.configSchema : tool.inputSchema
  if (schema === null) return []
  const properties = schema['properties']
  return isJsonObject(properties) ? Object.keys(properties) : null
}
