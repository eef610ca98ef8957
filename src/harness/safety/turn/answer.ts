import type { TurnContext } from '../../../threads/engine.ts'
import type { Message, TurnBlock } from '../../base/conversation.ts'
import { passRepair } from '../checks/verify.ts'
import { concludeHandoff, isHandingOn } from '../handoff/handoff-turn.ts'
import { planHandoff } from '../handoff/plan-handoff.ts'
import { exceededToolCalls } from '../limits/budget.ts'
import { measureContext } from '../limits/watch-context.ts'
import { passLimits } from '../interruptions/pass-limits.ts'
import type { AnswerInput } from './answer-input.ts'
import { concludeCalls } from './conclude-calls.ts'
import { concludeText } from './conclude-text.ts'
import { messageOf } from './messages.ts'
import type { TurnEnd } from './scene.ts'
import { textOf } from '../model/model-charge.ts'
import { millisecondsLeft } from './time-left.ts'
import { runToolSteps } from '../tools/tool-steps.ts'
import { isFree, turnEnd } from './turn-draft.ts'

/** The rest of a turn whose model call was answered: run its tool calls, or end with its text, or say what was wrong with it. */
export async function concludeAnswer(input: AnswerInput): Promise<TurnEnd> {
  const blocks = answerBlocks(input.ctx)
  const { usage, agentsSha256 } = input.answer
  const data = measureContext(input.ctx, input.prepared, { ...input.data, agentsSha256 }, usage)
  const calls = blocks.flatMap((block) => (block.type === 'tool_call' ? [block.call] : []))
  if (isHandingOn(data)) return concludeHandoff(input, data, { blocks, calls })
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
  const { services } = input
  const repaired = await passRepair({ services, ctx, prepared, data })
  if (repaired.kind === 'over') return repaired.end
  const planned = planHandoff({ services, ctx, prepared, data: repaired.data })
  const passed = await passLimits({ services, ctx, prepared, data: planned })
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
