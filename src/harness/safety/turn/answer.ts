import type { TurnContext } from '../../../threads/engine.ts'
import type { Message, TurnBlock } from '../../base/conversation.ts'
import { exceededToolCalls, secondsLeft } from '../limits/budget.ts'
import { contextState, contextWarning } from '../limits/context.ts'
import { passLimits } from '../interruptions/pass-limits.ts'
import type { AnswerInput } from './answer-input.ts'
import { concludeCalls } from './conclude-calls.ts'
import { concludeText } from './conclude-text.ts'
import { messageOf, note } from './messages.ts'
import type { TurnEnd } from './scene.ts'
import { textOf } from '../model/model-charge.ts'
import { inputTokens, outputTokens } from '../model/prices.ts'
import { elapsedSeconds } from './state.ts'
import type { Prepared, SafetyData } from './state.ts'
import { runToolSteps } from '../tools/tool-steps.ts'
import { isFree, turnEnd } from './turn-draft.ts'

/** The rest of a turn whose model call was answered: run its tool calls, or end with its text, or say what was wrong with it. */
export async function concludeAnswer(input: AnswerInput): Promise<TurnEnd> {
  const blocks = answerBlocks(input.ctx)
  const data = measure(input, { ...input.data, agentsSha256: input.answer.agentsSha256 })
  const calls = blocks.flatMap((block) => (block.type === 'tool_call' ? [block.call] : []))
  if (calls.length === 0) return closeTurn(input, await concludeText(input, data, textOf({ blocks })))
  const { limits } = input.prepared
  const max = exceededToolCalls(limits, data.added, Number.MAX_SAFE_INTEGER)?.max
  const enforced = max !== undefined && limits.on_exceeded !== 'warn'
  const outcomes = await runToolSteps({
    ...input,
    calls,
    allowed: enforced ? Math.max(0, max - data.spent.toolCalls) : calls.length,
    millisecondsLeft: millisecondsLeft(input, data),
  })
  return closeTurn(input, await concludeCalls(input, data, outcomes))
}

/** How long a step may take decides nothing before it, so the real clock is good enough here (S2). */
function millisecondsLeft({ prepared, begunMs }: AnswerInput, data: SafetyData): number | null {
  const left = secondsLeft(prepared.limits, data.added, elapsedSeconds(data.clock))
  return left === null ? null : Math.ceil(left * 1000 - (performance.now() - begunMs))
}

async function closeTurn(input: AnswerInput, end: TurnEnd): Promise<TurnEnd> {
  const { ctx, prepared } = input
  const { data, next } = end
  ctx.record({ events: [turnEnd(data)] })
  if (next.do === 'done' && next.endReason === 'done') {
    // Somebody said something while the last answer was written, and was told that the model would read it.
    if (ctx.hasUnreadMessage() && isFree(data, prepared)) return { data, next: { do: 'turn' } }
    ctx.record({ events: [{ type: 'completed', payload: { turn_count: data.spent.turns } }] })
  }
  if (next.do !== 'turn') return end
  const warned = warnOfContext(ctx, prepared, data)
  const passed = await passLimits({ services: input.services, ctx, prepared, data: warned })
  return passed.kind === 'over' ? passed.end : { data: passed.data, next }
}

/** The blocks of this turn's answer; none when nothing of it could be kept. */
function answerBlocks(ctx: TurnContext): readonly TurnBlock[] {
  const message: Message | null = lastAnswer(ctx)
  return message?.role === 'assistant' ? message.blocks : []
}

function lastAnswer(ctx: TurnContext): Message | null {
  const entry = ctx.history().findLast(({ role }) => role === 'assistant')
  return entry === undefined || entry.turn !== ctx.turn ? null : messageOf(entry)
}

/** Remembers how large the provider found the request, and warns once when the context crosses its threshold. */
function measure({ ctx, prepared, answer }: AnswerInput, data: SafetyData): SafetyData {
  const { usage } = answer
  const seq =
    ctx.history().findLast(({ role, turn }) => role === 'assistant' && turn === ctx.turn)?.seq ?? ctx.history().at(-1)?.seq
  if (usage === null || seq === undefined) return data
  const measured = { inputTokens: inputTokens(usage), outputTokens: outputTokens(usage), seq }
  const context = contextState(measured.inputTokens, prepared.contextLimit, prepared.limits.context_warning_threshold)
  return { ...data, measured, contextWarned: context.kind === 'free' ? false : data.contextWarned }
}

/** The note and event of a context that has just crossed its threshold; only for a thread that goes on. */
function warnOfContext(ctx: TurnContext, prepared: Prepared, data: SafetyData): SafetyData {
  const context = contextState(data.measured?.inputTokens ?? 0, prepared.contextLimit, prepared.limits.context_warning_threshold)
  if (context.kind !== 'warn' || data.contextWarned) return data
  ctx.record({
    messages: [note(contextWarning(context.use))],
    events: [{ type: 'context_warning', payload: { ...context.use } }],
  })
  return { ...data, contextWarned: true }
}
