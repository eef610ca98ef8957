import type { TurnContext } from '../../../threads/engine.ts'
import type { Usage } from '../../base/conversation.ts'
import { inputTokens, outputTokens } from '../model/prices.ts'
import { note } from '../turn/messages.ts'
import type { Prepared, SafetyData } from '../turn/state.ts'
import { contextState, contextWarning } from './context.ts'
import type { ContextState } from './context.ts'

/** Remembers how large the provider found the request; a context that has become smaller may be warned of again. */
export function measureContext(ctx: TurnContext, prepared: Prepared, data: SafetyData, usage: Usage | null): SafetyData {
  const seq =
    ctx.history().findLast(({ role, turn }) => role === 'assistant' && turn === ctx.turn)?.seq ?? ctx.history().at(-1)?.seq
  if (usage === null || seq === undefined) return data
  const measured = { inputTokens: inputTokens(usage), outputTokens: outputTokens(usage), seq }
  const context = contextOf(prepared, { ...data, measured })
  return { ...data, measured, contextWarned: context.kind === 'free' ? false : data.contextWarned }
}

/** Where the context stands that was measured last. */
export function contextOf({ limits, contextLimit }: Prepared, { measured }: Pick<SafetyData, 'measured'>): ContextState {
  return contextState(measured?.inputTokens ?? 0, contextLimit, limits.context_warning_threshold)
}

/** The note and event of a context that has just crossed its threshold; only for a thread that goes on. */
export function warnOfContext(ctx: TurnContext, prepared: Prepared, data: SafetyData): SafetyData {
  const context = contextOf(prepared, data)
  if (context.kind !== 'warn' || data.contextWarned) return data
  ctx.record({
    messages: [note(contextWarning(context.use))],
    events: [{ type: 'context_warning', payload: { ...context.use } }],
  })
  return { ...data, contextWarned: true }
}
