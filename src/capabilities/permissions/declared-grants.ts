import type { DirectiveDefinition, ItemProblem, PermissionTag, Space } from '../../kernel/items/item.ts'
import type { Capabilities, CategoryRule, Grants, Vocabulary } from '../contract.ts'
import { APPROVED } from '../tokens/approval-token.ts'
import { canonicalSet } from '../scopes/scope-sets.ts'
import { readCategoryBlock } from './category-block.ts'
import { createPermissionFindings } from './permission-findings.ts'
import type { PermissionFindings } from './permission-findings.ts'
import { readPermissionTag } from './permission-tag.ts'
import type { DeclaredCapability } from './permission-tag.ts'
import { impliedCapabilities } from './vocabulary.ts'

/** The shipped tools that come with `<orchestration enabled="true">`; they require `thread.orchestrate`. */
export const ORCHESTRATION_TOOLS: readonly string[] = [
  'thread_directive',
  'wait_thread',
  'read_transcript',
  'why_thread',
  'inject_message',
  'pause_thread',
  'resume_thread',
  'cancel_thread',
  'raise_budget',
  'retry_thread',
  'fork_thread',
  'list_approvals',
]

export interface DeclaredGrants {
  /** What the entries without a problem grant; not to be used while there are problems. */
  readonly grants: Grants
  readonly problems: readonly ItemProblem[]
  readonly warnings: readonly ItemProblem[]
}

/**
 * What the `<permissions>` of a directive declare, with everything implied written out. `file` is shown with findings; the default is made
 * of the directive's name.
 */
export function declaredGrants(
  directive: DirectiveDefinition,
  vocabulary: Vocabulary,
  { space, file = `${directive.name}.md` }: { readonly space: Space; readonly file?: string },
): DeclaredGrants {
  const findings = createPermissionFindings(file)
  const collected = createCollection({ vocabulary, space, findings })
  for (const tag of directive.permissions ?? []) collected.read(tag)
  const grants = collected.grants()
  warnOfMissingExecute(directive.permissions ?? [], grants.capabilities, findings)
  return { grants, problems: findings.problems, warnings: findings.warnings }
}

interface Reading {
  readonly vocabulary: Vocabulary
  readonly space: Space
  readonly findings: PermissionFindings
}

interface Collection {
  read(tag: PermissionTag): void
  grants(): Grants
}

function createCollection({ vocabulary, space, findings }: Reading): Collection {
  const scopes = new Map<string, Set<string> | true>()
  const blocks = new Map<string, readonly CategoryRule[]>()
  const add = (declared: DeclaredCapability): void => {
    const { info, scope, tag } = declared
    if (info.id === APPROVED) {
      findings.problem(tag, `\`${APPROVED}\` is not declared`, 'Remove it: somebody gives it, call by call, when a thread asks.')
      return
    }
    if (info.systemOnly && space !== 'system') {
      const fix = 'Remove it; no project or user directive can have it.'
      findings.problem(tag, `\`${info.id}\` is for shipped directives only`, fix)
      return
    }
    for (const { id } of impliedCapabilities(info, vocabulary)) {
      const held = scopes.get(id)
      if (scope === null) scopes.set(id, true)
      else if (held instanceof Set) held.add(scope)
      else scopes.set(id, new Set([scope]))
    }
  }
  return {
    read(tag) {
      if (!['orchestration', 'knowledge', 'directives'].includes(tag.tag)) {
        for (const declared of readPermissionTag(tag, vocabulary, findings)) add(declared)
        return
      }
      if (blocks.has(tag.tag)) findings.problem(tag, `a second \`<${tag.tag}>\``, 'Put all its lists into one.')
      const rules = readCategoryBlock(tag, findings)
      if (tag.tag === 'orchestration' && !readEnabled(tag, findings)) return
      blocks.set(tag.tag, rules)
      if (tag.tag === 'orchestration') for (const declared of orchestration(tag, vocabulary, findings)) add(declared)
    },
    grants: () => ({
      capabilities: toCapabilities(scopes, vocabulary),
      orchestration: blocks.get('orchestration') ?? null,
      knowledge: blocks.get('knowledge') ?? [],
      directives: blocks.get('directives') ?? [],
    }),
  }
}

function readEnabled(tag: PermissionTag, findings: PermissionFindings): boolean {
  const enabled = tag.attributes['enabled']
  if (enabled !== 'true' && enabled !== 'false')
    findings.problem(tag, '`<orchestration>` does not say whether it is enabled', 'Write `<orchestration enabled="true">`.')
  return enabled === 'true'
}

function orchestration(tag: PermissionTag, vocabulary: Vocabulary, findings: PermissionFindings): readonly DeclaredCapability[] {
  const orchestrate = vocabulary.get('thread.orchestrate')
  const execute = vocabulary.get('tool.execute')
  if (orchestrate !== undefined && execute !== undefined)
    return [{ info: orchestrate, scope: null, tag }, ...ORCHESTRATION_TOOLS.map((id) => ({ info: execute, scope: id, tag }))]
  const reason = 'no capability module declares `thread.orchestrate` and `tool.execute`'
  findings.problem(tag, reason, 'Install the shipped items again: `kiwi doctor` shows what is wrong with them.')
  return []
}

function toCapabilities(scopes: ReadonlyMap<string, ReadonlySet<string> | true>, vocabulary: Vocabulary): Capabilities {
  const entries = [...scopes].map(([id, held]): [string, readonly string[] | true] => {
    const language = vocabulary.get(id)?.scope ?? null
    return [id, held === true || language === null ? true : canonicalSet([...held], language)]
  })
  return Object.fromEntries(entries.toSorted(([left], [right]) => (left < right ? -1 : 1)))
}

/** Without the meta-tool no other permission of a tool can be used, which is easily forgotten. */
function warnOfMissingExecute(tags: readonly PermissionTag[], capabilities: Capabilities, findings: PermissionFindings): void {
  if (!Object.hasOwn(capabilities, 'tool.execute') || Object.hasOwn(capabilities, 'kiwi-mcp.execute')) return
  const first = tags.find((tag) => tag.tag === 'orchestration' || tag.attributes['resource'] === 'tool')
  if (first === undefined) return
  const reason = 'tools are declared, but not the meta-tool that calls them, so none can be called'
  findings.warn(first, reason, 'Add `<execute resource="kiwi-mcp" action="execute"/>`.')
}
