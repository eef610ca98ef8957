import { declaredGrants } from '../../../capabilities/permissions/declared-grants.ts'
import type { Grants, Vocabulary } from '../../../capabilities/contract.ts'
import type { Json, JsonObject } from '../../../json.ts'
import type { CostLimits, DirectiveDefinition, Item, ToolDefinition } from '../../../kernel/items/item.ts'
import { canonicalJson } from '../limits/loops.ts'
import { permissionDelta } from './permission-delta.ts'

/** What a person must know of a change besides its lines. `before` and `after` stand for what was written, null for nothing. */
export interface ItemFacts extends JsonObject {
  readonly permissions: { readonly added: readonly string[]; readonly removed: readonly string[] }
  /** Of a directive: the limits that change. */
  readonly cost?: { readonly before: JsonObject; readonly after: JsonObject }
}

/**
 * What a change gives, takes and limits: the permissions of a directive, and, where they change, its `cost`, `model` and `hooks`, or of a
 * tool `requires`, `approval` and `executor_id`, each as `{before, after}`. `before` is null where nobody trusted what is there.
 */
export function itemFacts(before: Item | null, after: Item, vocabulary: Vocabulary): ItemFacts {
  const now = before === null ? null : definitionOf(before)
  const then = definitionOf(after)
  if (then?.kind === 'directive') {
    const grantsIn = (directive: DirectiveDefinition): Grants =>
      declaredGrants(directive, vocabulary, { space: after.space }).grants
    return directiveFacts(now?.kind === 'directive' ? now : null, then, grantsIn)
  }
  return {
    permissions: { added: [], removed: [] },
    ...(then === null ? {} : toolFacts(now?.kind === 'tool' ? now : null, then)),
  }
}

function directiveFacts(
  before: DirectiveDefinition | null,
  after: DirectiveDefinition,
  grantsIn: (directive: DirectiveDefinition) => Grants,
): ItemFacts {
  return {
    permissions: { ...permissionDelta(before === null ? null : grantsIn(before), grantsIn(after)) },
    ...costChange(before?.cost ?? null, after.cost),
    ...change('model', modelText(before), modelText(after)),
    ...change('hooks', hookTexts(before), hookTexts(after)),
  }
}

function toolFacts(before: ToolDefinition | null, after: ToolDefinition): JsonObject {
  return {
    ...change('requires', requiredBy(before), requiredBy(after)),
    ...change('approval', before?.approval ?? null, after.approval),
    ...change('executor_id', before?.executorId ?? null, after.executorId),
  }
}

function definitionOf({ state }: Item): DirectiveDefinition | ToolDefinition | null {
  return state.kind === 'available' && state.definition.kind !== 'knowledge' ? state.definition : null
}

/** Only the limits that change. */
function costChange(before: CostLimits | null, after: CostLimits | null): Pick<ItemFacts, 'cost'> {
  const earlier = new Map<string, Json>(Object.entries(before ?? {}))
  const later = new Map<string, Json>(Object.entries(after ?? {}))
  const changed = [...new Set([...earlier.keys(), ...later.keys()])].filter((name) => earlier.get(name) !== later.get(name))
  if (changed.length === 0) return {}
  return { cost: { before: only(earlier, changed), after: only(later, changed) } }
}

function only(limits: ReadonlyMap<string, Json>, names: readonly string[]): JsonObject {
  return Object.fromEntries([...limits].filter(([name]) => names.includes(name)))
}

function modelText(directive: DirectiveDefinition | null): string | null {
  if (directive === null || directive.model === null) return null
  const { tier, id, fallback } = directive.model
  return `${id ?? `tier ${tier ?? ''}`}${fallback === null ? '' : `, else ${fallback}`}`
}

function hookTexts(directive: DirectiveDefinition | null): readonly string[] {
  return (directive?.hooks ?? []).map(
    ({ source, directive: name, inputs }) => `when ${source} run ${name} ${JSON.stringify(inputs)}`,
  )
}

function requiredBy(tool: ToolDefinition | null): readonly string[] {
  return (tool?.requires ?? []).map((entry) =>
    typeof entry === 'string' ? entry : `${entry.cap} ${JSON.stringify(entry.scope)}`,
  )
}

function change(name: string, before: Json, after: Json): JsonObject {
  return canonicalJson(before) === canonicalJson(after) ? {} : { [name]: { before, after } }
}
