import type { JsonObject } from '../../../json.ts'
import type { EndReason, NewEvent, TurnContext, WaitReason } from '../../../threads/engine.ts'
import { statusOf } from '../../../threads/status.ts'
import { exceededLimits } from '../limits/budget.ts'
import type { Exceeded } from '../limits/budget.ts'
import type { Consequence, Failure, Question, ThreadEvent } from '../interruptions/contract.ts'
import { contextState } from '../limits/context.ts'
import type { ContextUse } from '../limits/context.ts'
import { note } from './messages.ts'
import { usdFromNano } from '../model/prices.ts'
import { elapsedSeconds, stopClock } from './state.ts'
import type { TurnEnd } from './scene.ts'
import type { Prepared, SafetyData } from './state.ts'

/** The thread ends with an error of this reason. `facts` and the message become its result. */
export function endWith(ctx: TurnContext, data: SafetyData, endReason: EndReason, failure: Failure): TurnEnd {
  ctx.record({ events: [{ type: 'error', payload: { code: endReason, message: failure.message } }] })
  return { data, next: { do: 'done', status: statusOf(endReason), endReason, result: failure } }
}

/** The thread waits for somebody; the time until then does not count. `untilMs` ends the wait whether anybody came or not. */
export function waitFor(data: SafetyData, reason: WaitReason, untilMs?: number): TurnEnd {
  const next = { do: 'wait', reason, ...(untilMs === undefined ? {} : { untilMs }) } as const
  return { data: { ...data, clock: stopClock(data.clock) }, next }
}

/** A limit that keeps the thread from another model call, as an event and what it means under the directive's `on_exceeded`. */
export interface ReachedLimit {
  readonly event: ThreadEvent
  readonly consequence: Consequence
}

/**
 * What must hold before the next model call: a context that is not full, and no reached limit. It is asked at the end of a turn, so
 * that a thread does not take another turn only to learn that it may not, and again at its beginning, because time has passed.
 */
export function reachedLimit(
  ctx: TurnContext,
  data: SafetyData,
  prepared: Prepared,
): { readonly data: SafetyData; readonly reached: ReachedLimit | null } {
  const { limits, contextLimit } = prepared
  const context = contextState(data.measured?.inputTokens ?? 0, contextLimit, limits.context_warning_threshold)
  if (context.kind === 'full') return { data, reached: fullContext(context.use) }
  const { added, spent, clock } = data
  return judgeLimits(ctx, data, prepared, exceededLimits({ limits, added, spent, elapsedSeconds: elapsedSeconds(clock) }))
}

function fullContext({ used, limit, percent }: ContextUse): ReachedLimit {
  const message = `The context is full: ${used} of ${limit} tokens.`
  const event: ThreadEvent = { name: 'on_limit', code: 'context_exceeded', detail: { used, max: limit, percent } }
  return { event, consequence: { kind: 'end', endReason: 'context_exceeded', failure: { message, used, max: limit } } }
}

/** True when `reachedLimit` would let the thread take another turn without a word; it records nothing. */
export function isFree(data: SafetyData, { limits, contextLimit }: Prepared): boolean {
  const { added, spent, clock, measured } = data
  const context = contextState(measured?.inputTokens ?? 0, contextLimit, limits.context_warning_threshold)
  return context.kind !== 'full' && exceededLimits({ limits, added, spent, elapsedSeconds: elapsedSeconds(clock) }).length === 0
}

/**
 * What reached limits mean under the directive's `on_exceeded`. Null lets the turn go on: nothing was reached, or the limits only warn,
 * with one event each.
 */
export function judgeLimits(
  ctx: TurnContext,
  data: SafetyData,
  { limits }: Prepared,
  exceeded: readonly Exceeded[],
): { readonly data: SafetyData; readonly reached: ReachedLimit | null } {
  const [first] = exceeded
  if (first === undefined) return { data, reached: null }
  if (limits.on_exceeded === 'warn') {
    const fresh = exceeded.filter(({ limit }) => !data.warned.includes(limit))
    if (fresh.length > 0) ctx.record({ events: fresh.map((found) => limitEvent(found, 'warn')) })
    return { data: { ...data, warned: [...data.warned, ...fresh.map(({ limit }) => limit)] }, reached: null }
  }
  const facts = factsOf(first)
  const end = { kind: 'end', endReason: first.endReason, failure: { message: describe(first), ...facts } } as const
  const event: ThreadEvent = { name: 'on_limit', code: first.limit, detail: facts }
  if (limits.on_exceeded === 'stop') return { data, reached: { event, consequence: end } }
  ctx.record({ events: [limitEvent(first, 'escalate')] })
  const question = budgetQuestion(describe(first), { ...facts, ask: amountFor(first.limit, facts.max) })
  return { data, reached: { event, consequence: { kind: 'ask', question, refused: end } } }
}

/** Asks for more of what a thread lacks. `subject.ask` is what a plain approval adds. */
export function budgetQuestion(title: string, subject: JsonObject): Question {
  return { kind: 'budget', wait: 'budget_reached', title, subject }
}

/** As much again as the limit was: what a plain approval gives. */
export function amountFor(limit: string, max: number): JsonObject {
  switch (limit) {
    case 'max_turns':
      return { add_turns: Math.max(1, max) }
    case 'max_tool_calls':
      return { add_tool_calls: Math.max(1, max) }
    case 'max_duration_seconds':
      return { add_seconds: Math.max(1, Math.ceil(max)) }
    case 'max_cost_usd':
      return max > 0 ? { add_usd: max } : {}
    default:
      return { add_tokens: Math.max(1, max) }
  }
}

/** The event that closes a turn in which the model was called. */
export function turnEnd(data: SafetyData): NewEvent {
  return { type: 'turn_end', payload: { turn: data.spent.turns } }
}

/** Adds a note to the model to the end of the turn. */
export function tell(ctx: TurnContext, content: string): void {
  ctx.record({ messages: [note(content)] })
}

function limitEvent(exceeded: Exceeded, action: 'warn' | 'escalate'): NewEvent {
  return { type: 'status', payload: { limit_reached: exceeded.limit, action, ...factsOf(exceeded), message: describe(exceeded) } }
}

function factsOf(exceeded: Exceeded): { readonly limit: string; readonly used: number; readonly max: number } {
  const money = exceeded.limit === 'max_cost_usd'
  return {
    limit: exceeded.limit,
    used: money ? usdFromNano(exceeded.used) : exceeded.used,
    max: money ? usdFromNano(exceeded.max) : exceeded.max,
  }
}

function describe(exceeded: Exceeded): string {
  const { limit, used, max } = factsOf(exceeded)
  return `${limit} is reached: ${used} of ${max}.`
}
