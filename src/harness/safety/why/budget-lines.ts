import type { JsonObject } from '../../../json.ts'
import type { ThreadRow } from '../../../threads/threads-client.ts'
import { usdFromNano } from '../model/prices.ts'

/** One limit of a thread with what was used of it, in the limit's own unit. */
export interface BudgetLine {
  readonly limit: string
  readonly used: number
  readonly max: number
  readonly reached: boolean
}

/** The limits that a row knows the use of, as they were when the thread was spawned; what was added later stands in the log. */
export function budgetLines({
  cost_budget: limits,
  total_usage: usage,
  turn,
  created_at,
  ended_at,
}: ThreadRow): readonly BudgetLine[] {
  const input = sum(usage, ['input_uncached', 'cache_read', 'cache_write_5m', 'cache_write_1h'])
  const output = sum(usage, ['output', 'reasoning'])
  const used: Readonly<Record<string, number>> = {
    max_turns: turn,
    max_input_tokens: input,
    max_output_tokens: output,
    max_total_tokens: input + output,
    max_tool_calls: sum(usage, ['tool_calls']),
    max_duration_seconds: seconds(created_at, ended_at),
    max_cost_usd: usdFromNano(sum(usage, ['cost_nano'])),
  }
  return Object.entries(used).flatMap(([limit, amount]) => {
    const max = limits[limit]
    return typeof max === 'number' ? [{ limit, used: amount, max, reached: amount >= max }] : []
  })
}

function sum(usage: JsonObject, names: readonly string[]): number {
  return names.reduce((total, name) => total + (typeof usage[name] === 'number' ? usage[name] : 0), 0)
}

/** Waiting included: the row does not know how long the thread waited. */
function seconds(from: string, to: string | null): number {
  return Math.round((to === null ? Date.now() : Date.parse(to)) / 1000 - Date.parse(from) / 1000)
}
