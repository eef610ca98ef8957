import type { TurnContext } from '../../../threads/engine.ts'
import type { Message, TurnBlock } from '../../base/conversation.ts'
import { exceededToolCalls, secondsLeft } from '../limits/budget.ts'
import type { Exceeded } from '../limits/budget.ts'
import { contextState, contextWarning } from '../limits/context.ts'
import { recordCall } from '../limits/loops.ts'
import type { LoopPattern } from '../limits/loops.ts'
import { messageOf, note } from './messages.ts'
import { textOf } from '../model/model-charge.ts'
import type { ModelStepOutcome } from '../model/model-step.ts'
import { inputTokens, outputTokens } from '../model/prices.ts'
import type { HarnessServices } from '../services.ts'
import { elapsedSeconds } from './state.ts'
import type { Prepared, SafetyData } from './state.ts'
import type { ToolRequests } from '../tools/tool-request.ts'
import { runToolSteps } from '../tools/tool-steps.ts'
import type { CallOutcome } from '../tools/tool-steps.ts'
import { endWith, gate, isFree, judgeLimits, tell, turnEnd, waitFor } from './turn-draft.ts'
import type { TurnEnd } from './turn-draft.ts'

type Answer = Extract<ModelStepOutcome, { kind: 'answer' }>

export interface AnswerInput {
  readonly services: HarnessServices
  readonly requests: ToolRequests
  readonly ctx: TurnContext
  readonly prepared: Prepared
  readonly answer: Answer
  /** Of the turn, on the clock of `performance.now()`. */
  readonly begunMs: number
  /** Already counts this call. */
  readonly data: SafetyData
}

/** Turns in a row of which every call was denied before the thread ends: it does not find what it may do. */
const MAX_DENIED_TURNS = 5
/** Answers in a row that may bring nothing before the thread ends. */
const MAX_FRUITLESS = 3

/** The rest of a turn whose model call was answered: run its tool calls, or end with its text, or say what was wrong with it. */
export async function concludeAnswer(input: AnswerInput): Promise<TurnEnd> {
  const blocks = answerBlocks(input.ctx)
  const data = measure(input, { ...input.data, agentsSha256: input.answer.agentsSha256 })
  const calls = blocks.flatMap((block) => (block.type === 'tool_call' ? [block.call] : []))
  if (calls.length === 0) return withTurnEnd(input, concludeText(input, data, textOf({ blocks })))
  const { limits } = input.prepared
  const max = exceededToolCalls(limits, data.added, Number.MAX_SAFE_INTEGER)?.max
  const enforced = max !== undefined && limits.on_exceeded !== 'warn'
  const outcomes = await runToolSteps({
    ...input,
    calls,
    allowed: enforced ? Math.max(0, max - data.spent.toolCalls) : calls.length,
    millisecondsLeft: millisecondsLeft(input, data),
  })
  return withTurnEnd(input, concludeCalls(input, data, outcomes))
}

/** How long a step may take decides nothing before it, so the real clock is good enough here (S2). */
function millisecondsLeft({ prepared, begunMs }: AnswerInput, data: SafetyData): number | null {
  const left = secondsLeft(prepared.limits, data.added, elapsedSeconds(data.clock))
  return left === null ? null : Math.ceil(left * 1000 - (performance.now() - begunMs))
}

function withTurnEnd({ ctx, prepared }: AnswerInput, end: TurnEnd): TurnEnd {
  const { data, next } = end
  ctx.record({ events: [turnEnd(data)] })
  if (next.do === 'done' && next.endReason === 'done') {
    // Somebody said something while the last answer was written, and was told that the model would read it.
    if (ctx.hasUnreadMessage() && isFree(data, prepared)) return { data, next: { do: 'turn' } }
    ctx.record({ events: [{ type: 'completed', payload: { turn_count: data.spent.turns } }] })
  }
  if (next.do !== 'turn') return end
  const passed = gate(ctx, warnOfContext(ctx, prepared, data), prepared)
  return passed.end ?? { data: passed.data, next }
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

function concludeCalls(input: AnswerInput, given: SafetyData, outcomes: readonly CallOutcome[]): TurnEnd {
  const { ctx, prepared, answer } = input
  for (const { commit } of outcomes) if (commit !== null) ctx.record(commit)
  if (answer.incomplete !== null) tell(ctx, `${answer.incomplete.message} Send again what is missing.`)
  const toolCalls = given.spent.toolCalls + outcomes.filter(({ counted }) => counted).length
  const parked = outcomes.flatMap((outcome) => (outcome.parked === null ? [] : [outcome.parked]))
  let data: SafetyData = { ...given, spent: { ...given.spent, toolCalls }, parked, fruitless: 0 }
  const overLimit = toolLimit(prepared, given, { asked: outcomes.length, ran: toolCalls - given.spent.toolCalls })
  if (overLimit !== null) {
    const judged = judgeLimits(ctx, data, prepared, [overLimit])
    if (judged.end !== null) return judged.end
    data = judged.data
  }
  data = { ...data, denied: outcomes.every(({ denied }) => denied) ? (given.denied ?? 0) + 1 : 0 }
  if ((data.denied ?? 0) >= MAX_DENIED_TURNS) {
    const message = `Every tool call of ${MAX_DENIED_TURNS} turns in a row was denied; the thread has nothing left that it may do.`
    return endWith(ctx, data, 'permission_denied', { message })
  }
  const looped = foldLoops(data, outcomes)
  data = looped.data
  if (looped.found !== null) return stopLoop(ctx, data, looped.found)
  if (outcomes.some(({ escalated }) => escalated)) return waitFor(data, 'escalated')
  if (parked.length === 0) return { data, next: { do: 'turn' } }
  return { data, next: { do: 'wait', reason: 'children', untilMs: Math.min(...parked.map(({ untilMs }) => untilMs)) } }
}

/** The limit on tool calls when this turn asked for more than it left. */
function toolLimit(
  { limits }: Prepared,
  before: SafetyData,
  turn: { readonly asked: number; readonly ran: number },
): Exceeded | null {
  const beyond = exceededToolCalls(limits, before.added, before.spent.toolCalls + turn.asked - 1)
  return beyond === null ? null : { ...beyond, used: before.spent.toolCalls + turn.ran }
}

interface FoundLoop {
  readonly item: string
  readonly pattern: LoopPattern
}

function foldLoops(
  data: SafetyData,
  outcomes: readonly CallOutcome[],
): { readonly data: SafetyData; readonly found: FoundLoop | null } {
  let recent = data.recentCalls
  for (const { item, trace } of outcomes) {
    if (trace === null) continue
    const { recent: kept, loop } = recordCall(recent, trace)
    recent = kept
    if (loop !== null) return { data: { ...data, recentCalls: [] }, found: { item, pattern: loop } }
  }
  return { data: { ...data, recentCalls: recent }, found: null }
}

function stopLoop(ctx: TurnContext, data: SafetyData, { item, pattern }: FoundLoop): TurnEnd {
  ctx.record({ events: [{ type: 'loop_detected', payload: { tool: item, pattern } }] })
  const what =
    pattern === 'same_call'
      ? `${item} was called three times with the same arguments and gave the same result`
      : `two calls repeat in turn, ${item} among them`
  tell(ctx, `Loop detected: ${what}. Repeating it brings nothing new. Do something else, or finish with what you know.`)
  return waitFor(data, 'loop_detected')
}

function concludeText(input: AnswerInput, given: SafetyData, text: string): TurnEnd {
  const { ctx, answer } = input
  if (answer.stop === 'context_exceeded')
    return endWith(ctx, given, 'context_exceeded', { message: 'The provider says that the context is full.' })
  const problem = problemOf(answer, text)
  if (problem === null) return { data: given, next: { do: 'done', status: 'completed', endReason: 'done', result: { text } } }
  const data: SafetyData = { ...given, fruitless: given.fruitless + 1 }
  if (data.fruitless >= MAX_FRUITLESS) return endWith(ctx, data, problem.endReason, { message: problem.message, text })
  tell(ctx, problem.advice)
  return { data, next: { do: 'turn' } }
}

interface Problem {
  readonly endReason: 'stream_failed' | 'max_tokens'
  readonly message: string
  readonly advice: string
}

/** Why an answer without tool calls is not the end of the work; null when it is. */
function problemOf({ stop, incomplete }: Answer, text: string): Problem | null {
  const failed = { endReason: 'stream_failed' } as const
  if (incomplete?.code === 'STREAM_INCOMPLETE') {
    const advice = 'Your last answer was cut off by a broken connection. Go on where it stopped; do not repeat what was said.'
    return { ...failed, message: `Several answers in a row were cut off: ${incomplete.message}`, advice }
  }
  if (stop === 'max_tokens' || incomplete !== null) {
    const advice =
      'Your last answer reached its output limit. Go on where it stopped, in smaller pieces; write long texts in several tool calls.'
    return { endReason: 'max_tokens', message: 'Several answers in a row reached the output limit of one call.', advice }
  }
  if (stop === 'refusal') {
    return {
      ...failed,
      message: 'The model refused.',
      advice: 'You declined. If a part of the task can be done, do that part and say what you left out.',
    }
  }
  if (stop === 'pause_turn') return { ...failed, message: 'The model paused several times in a row.', advice: 'Go on.' }
  if (text.trim() !== '') return null
  return {
    ...failed,
    message: 'The model gave no answer several times in a row.',
    advice: 'Your last answer was empty. Call a tool, or finish with a text that says what was done.',
  }
}
