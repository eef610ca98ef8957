import type { Json } from '../../../json.ts'
import type { EndReason, NewEvent, Next, TurnContext, WaitReason } from '../../../threads/engine.ts'
import { statusOf } from '../../../threads/status.ts'
import { exceededLimits } from '../limits/budget.ts'
import type { Exceeded } from '../limits/budget.ts'
import { contextState } from '../limits/context.ts'
import { note } from './messages.ts'
import { usdFromNano } from '../model/prices.ts'
import { elapsedSeconds, stopClock } from './state.ts'
import type { Prepared, SafetyData } from './state.ts'

/** How a turn ends: the runner's data for the next one, and what comes next. */
export interface TurnEnd {
  readonly data: SafetyData
  readonly next: Next
}

/** The thread ends with an error of this reason. `facts` and the message become its result. */
export function endWith(
  ctx: TurnContext,
  data: SafetyData,
  endReason: EndReason,
  failure: { readonly message: string; readonly [fact: string]: Json },
): TurnEnd {
  ctx.record({ events: [{ type: 'error', payload: { code: endReason, message: failure.message } }] })
  return { data, next: { do: 'done', status: statusOf(endReason), endReason, result: failure } }
}

/** The thread waits for a person; the time until then does not count. */
export function waitFor(data: SafetyData, reason: WaitReason): TurnEnd {
  return { data: { ...data, clock: stopClock(data.clock) }, next: { do: 'wait', reason } }
}

/**
 * What must hold before the next model call: a context that is not full, and no reached limit. It is asked at the end of a turn, so
 * that a thread does not take another turn only to learn that it may not, and again at its beginning, because time has passed.
 */
export function gate(
  ctx: TurnContext,
  data: SafetyData,
  prepared: Prepared,
): { readonly data: SafetyData; readonly end: TurnEnd | null } {
  const { limits, contextLimit } = prepared
  const context = contextState(data.measured?.inputTokens ?? 0, contextLimit, limits.context_warning_threshold)
  if (context.kind === 'full') {
    const { used, limit } = context.use
    const message = `The context is full: ${used} of ${limit} tokens.`
    return { data, end: endWith(ctx, data, 'context_exceeded', { message, used, max: limit }) }
  }
  const { added, spent, clock } = data
  return judgeLimits(ctx, data, prepared, exceededLimits({ limits, added, spent, elapsedSeconds: elapsedSeconds(clock) }))
}

/** True when `gate` would let the thread take another turn without a word; it records nothing. */
export function isFree(data: SafetyData, { limits, contextLimit }: Prepared): boolean {
  const { added, spent, clock, measured } = data
  const context = contextState(measured?.inputTokens ?? 0, contextLimit, limits.context_warning_threshold)
  return context.kind !== 'full' && exceededLimits({ limits, added, spent, elapsedSeconds: elapsedSeconds(clock) }).length === 0
}

/**
 * What reached limits mean under the directive's `on_exceeded`. Null `end` lets the turn go on: nothing was reached, or the limits only
 * warn, with one event each.
 */
export function judgeLimits(
  ctx: TurnContext,
  data: SafetyData,
  { limits }: Prepared,
  exceeded: readonly Exceeded[],
): { readonly data: SafetyData; readonly end: TurnEnd | null } {
  const [first] = exceeded
  if (first === undefined) return { data, end: null }
  switch (limits.on_exceeded) {
    case 'stop':
      return { data, end: endWith(ctx, data, first.endReason, { message: describe(first), ...factsOf(first) }) }
    case 'escalate':
      ctx.record({ events: [limitEvent(first, 'escalate')] })
      return { data, end: waitFor(data, 'budget_reached') }
    case 'warn': {
      const fresh = exceeded.filter(({ limit }) => !data.warned.includes(limit))
      if (fresh.length > 0) ctx.record({ events: fresh.map((found) => limitEvent(found, 'warn')) })
      return { data: { ...data, warned: [...data.warned, ...fresh.map(({ limit }) => limit)] }, end: null }
    }
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
