import type { JsonObject } from '../../../json.ts'
import type { ThreadRow, ThreadsClient } from '../../../threads/threads-client.ts'
import { usdFromNano } from '../model/prices.ts'

/** One limit of a thread with what was used of it, in the limit's own unit. */
export interface BudgetLine {
  readonly limit: string
  readonly used: number
  readonly max: number
  readonly reached: boolean
}

/** The limits of a thread with what was added to them since, and with what was used. Turns are calls of its model. */
export function budgetLines(threads: ThreadsClient, row: ThreadRow): readonly BudgetLine[] {
  const { thread_id: id, cost_budget: limits, total_usage: usage } = row
  const input = sum(usage, ['input_uncached', 'cache_read', 'cache_write_5m', 'cache_write_1h'])
  const output = sum(usage, ['output', 'reasoning'])
  const added = addedTo(threads, id)
  const lines: readonly (readonly [limit: string, used: number, added: number])[] = [
    ['max_turns', numberIn(threads.events(id, { type: 'turn_end', last: 1 }).at(-1)?.payload, 'turn'), added('add_turns')],
    ['max_input_tokens', input, added('add_tokens')],
    ['max_output_tokens', output, added('add_tokens')],
    ['max_total_tokens', input + output, added('add_tokens')],
    ['max_tool_calls', sum(usage, ['tool_calls']), added('add_tool_calls')],
    ['max_duration_seconds', seconds(row.created_at, row.ended_at), added('add_seconds')],
    ['max_cost_usd', usdFromNano(sum(usage, ['cost_nano'])), added('add_usd')],
  ]
  return lines.flatMap(([limit, used, more]) => {
    const first = limits[limit]
    if (typeof first !== 'number') return []
    const max = first + more
    return [{ limit, used, max, reached: used >= max }]
  })
}

/** What whoever resumed the thread, raised its limits or approved more has added, as it is logged. */
function addedTo(threads: ThreadsClient, threadId: string): (name: string) => number {
  const events = threads.events(threadId, { type: 'intervention', last: MOST_INTERVENTIONS })
  return (name) => events.reduce((total, { payload }) => total + numberIn(payload, name), 0)
}

const MOST_INTERVENTIONS = 1_000

function numberIn(payload: JsonObject | undefined, name: string): number {
  const value = payload?.[name]
  return typeof value === 'number' ? value : 0
}

function sum(usage: JsonObject, names: readonly string[]): number {
  return names.reduce((total, name) => total + numberIn(usage, name), 0)
}

/** Waiting included: the row does not know how long the thread waited. */
function seconds(from: string, to: string | null): number {
  return Math.round((to === null ? Date.now() : Date.parse(to)) / 1000 - Date.parse(from) / 1000)
}
