import type { Json, JsonObject } from '../../../json.ts'
import type { ExpressionScope } from '../../../kernel/expressions/expression.ts'
import type { CostLimits } from '../../../kernel/items/item.ts'
import type { ThreadEvent } from '../interruptions/contract.ts'
import { nanoFromUsd, usdFromNano } from '../model/prices.ts'
import type { Scene } from '../turn/scene.ts'
import { elapsedSeconds } from '../turn/state.ts'
import type { Added, Prepared, SafetyData } from '../turn/state.ts'

/**
 * What the condition and the inputs of a hook read: `event`, `directive`, `cost`, `limits` and `permissions`, all of it from the thread's
 * journaled state (S2). Money in US dollars, times in seconds. `cost` is the thread's own, without its children.
 */
export function hookScope({ ctx, prepared, data }: Scene, event: ThreadEvent): ExpressionScope {
  const { name, code, detail } = event
  return {
    event: { name, code, detail },
    directive: { name: ctx.start.directiveId, inputs: { ...prepared.inputDefaults, ...ctx.start.inputs } },
    cost: costOf(data),
    limits: limitsOf(prepared, data.added),
    permissions: { granted: prepared.granted ?? [], required: requiredBy(detail) },
  }
}

function costOf({ spent, measured, clock }: SafetyData): JsonObject {
  return {
    turns: spent.turns,
    input_tokens: spent.inputTokens,
    output_tokens: spent.outputTokens,
    total_tokens: spent.inputTokens + spent.outputTokens,
    context_tokens: measured?.inputTokens ?? 0,
    tool_calls: spent.toolCalls,
    spent_usd: usdFromNano(spent.costNano),
    elapsed_seconds: elapsedSeconds(clock),
  }
}

/** As in `<cost>`, with what was added since; what is not limited is not there. `max_context_tokens` is what really binds. */
function limitsOf({ limits, contextLimit }: Prepared, added: Added): JsonObject {
  const { max_turns, max_cost_usd: usd, ...others } = limits
  const raised: [string, Json][] = [['max_turns', max_turns + added.turns]]
  const raise = (name: keyof CostLimits, by: number): void => {
    const limit = limits[name]
    if (typeof limit === 'number') raised.push([name, limit + by])
  }
  raise('max_input_tokens', added.tokens)
  raise('max_output_tokens', added.tokens)
  raise('max_total_tokens', added.tokens)
  raise('max_tool_calls', added.toolCalls)
  raise('max_duration_seconds', added.seconds)
  if (usd !== undefined) raised.push(['max_cost_usd', usdFromNano(nanoFromUsd(usd) + added.nano)])
  if (contextLimit !== null) raised.push(['max_context_tokens', contextLimit])
  return { ...others, ...Object.fromEntries(raised) }
}

/** The ids of the capabilities that a denial names, without their scopes: comparable with `permissions.granted`. */
function requiredBy({ missing }: JsonObject): readonly string[] {
  if (!Array.isArray(missing)) return []
  return [...new Set(missing.map((entry) => String(entry).split(' ', 1)[0] ?? ''))]
}
