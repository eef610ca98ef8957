import type { AssistantTurn, Message, ToolSpec, Usage } from './conversation.ts'
import type { CallModel, Incomplete, ModelCallError } from './model-call.ts'
import { runModelTurn } from './turn.ts'
import type { CallTool, Step, ToolResult, TurnDeps } from './turn.ts'
import type { LiveDelta, Wire } from './wires/wire.ts'

export interface HarnessLimits {
  /** Model calls of one `run`. */
  readonly maxTurns: number
  /** Output limit of each model call. Default 4,096. */
  readonly maxOutputTokens?: number
  /** All classes of all calls of one `run`, checked before each call. Absent: no limit. */
  readonly maxTotalTokens?: number
}

/** What happened, in order; `onDelta` has what is still being written. */
export type HarnessEvent =
  | { readonly type: 'turn_start'; readonly turn: number }
  | { readonly type: 'assistant'; readonly turn: number; readonly answer: AssistantTurn }
  | { readonly type: 'incomplete'; readonly turn: number; readonly incomplete: Incomplete }
  | { readonly type: 'tool_result'; readonly turn: number; readonly message: Extract<Message, { role: 'tool_result' }> }

export type RunEnd =
  | 'done'
  /** The last answer was cut by the output limit. */
  | 'output_limit'
  | 'max_turns'
  | 'max_total_tokens'
  | 'context_exceeded'
  | 'refused'
  /** No usable answer came; see `error`. */
  | 'model_failed'
  | 'aborted'

/** How one `run` ended. */
export interface RunResult {
  readonly end: RunEnd
  /** Visible text of the last answer. */
  readonly text: string
  readonly turns: number
  readonly usage: Usage
  /** The whole conversation, to go on with. */
  readonly messages: readonly Message[]
  readonly error: ModelCallError | null
}

export interface LoopOptions {
  readonly wire: Wire
  readonly model: string
  readonly system: string
  readonly tools: readonly ToolSpec[]
  readonly callModel: CallModel
  readonly callTool: CallTool
  readonly limits: HarnessLimits
  readonly onDelta?: (delta: LiveDelta) => void
  readonly onEvent?: (event: HarnessEvent) => void
  readonly step?: Step
}

const NO_USAGE: Usage = { input_uncached: 0, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 0, reasoning: 0 }
/** An endpoint that cuts every answer must not be asked for ever. */
const MAX_CUT_IN_A_ROW = 3

/** Turns until the model has no more calls, a limit is reached, or nothing usable comes. Adds to `messages`. */
export async function runLoop(options: LoopOptions, messages: Message[], signal: AbortSignal): Promise<RunResult> {
  const state = { turns: 0, usage: NO_USAGE, text: '', cutInARow: 0 }
  const finish = (end: RunEnd, error: ModelCallError | null = null): RunResult => {
    return { end, text: state.text, turns: state.turns, usage: state.usage, messages: [...messages], error }
  }
  for (;;) {
    const reached = limitReached(options.limits, state)
    if (reached !== null) return finish(reached)
    if (signal.aborted) return finish('aborted')
    state.turns += 1
    options.onEvent?.({ type: 'turn_start', turn: state.turns })
    const outcome = await runModelTurn<ToolResult>(turnDeps(options), requestOf(options, messages), foldOptions(options, signal))
    state.usage = addUsage(state.usage, outcome.turn.usage)
    if (outcome.kind === 'failed') return finish(signal.aborted ? 'aborted' : 'model_failed', outcome.error)
    state.text = visibleText(outcome.turn)
    record(options, messages, { ...outcome, number: state.turns })
    state.cutInARow = outcome.incomplete === null ? 0 : state.cutInARow + 1
    if (state.cutInARow >= MAX_CUT_IN_A_ROW) return finish('model_failed', cutTooOften(outcome.incomplete))
    const end = endOf(outcome.turn, outcome.incomplete)
    if (end !== null) return finish(end)
  }
}

function limitReached(limits: HarnessLimits, { turns, usage }: { turns: number; usage: Usage }): RunEnd | null {
  if (turns >= limits.maxTurns) return 'max_turns'
  const total = Object.values(usage).reduce((sum: number, tokens: number) => sum + tokens, 0)
  return limits.maxTotalTokens !== undefined && total >= limits.maxTotalTokens ? 'max_total_tokens' : null
}

function turnDeps({ wire, callModel, callTool, step }: LoopOptions): TurnDeps<ToolResult> {
  return { wire, callModel, callTool, ...(step === undefined ? {} : { step }) }
}

function requestOf(
  { model, system, tools, limits }: LoopOptions,
  messages: readonly Message[],
): Parameters<typeof runModelTurn>[1] {
  return { model, system, tools, messages, maxOutputTokens: limits.maxOutputTokens ?? 4096 }
}

function foldOptions(
  { onDelta }: LoopOptions,
  signal: AbortSignal,
): { signal: AbortSignal; onDelta?: (delta: LiveDelta) => void } {
  return { signal, ...(onDelta === undefined ? {} : { onDelta }) }
}

interface RecordedTurn {
  readonly number: number
  readonly turn: AssistantTurn
  readonly results: readonly ToolResult[]
  readonly incomplete: Incomplete | null
}

function record({ wire, onEvent }: LoopOptions, messages: Message[], { number, turn, results, incomplete }: RecordedTurn): void {
  messages.push({ role: 'assistant', wire: wire.name, blocks: turn.blocks, raw: turn.raw })
  onEvent?.({ type: 'assistant', turn: number, answer: turn })
  for (const [index, call] of turn.tool_calls.entries()) {
    const result = results[index]
    if (result === undefined) continue
    const { content, is_error } = result
    const message = { role: 'tool_result', call_id: call.id, tool: call.name, content, is_error } as const
    messages.push(message)
    onEvent?.({ type: 'tool_result', turn: number, message })
  }
  if (incomplete === null) return
  messages.push({ role: 'system_note', content: `${incomplete.message} Go on from what you have.` })
  onEvent?.({ type: 'incomplete', turn: number, incomplete })
}

/** Null goes on. An answer that was cut is continued: the model has been told what is missing. */
function endOf(turn: AssistantTurn, incomplete: Incomplete | null): RunEnd | null {
  if (turn.tool_calls.length > 0 || incomplete !== null || turn.stop_reason === 'pause_turn') return null
  switch (turn.stop_reason) {
    case 'max_tokens':
      return 'output_limit'
    case 'context_exceeded':
      return 'context_exceeded'
    case 'refusal':
      return 'refused'
    case 'end_turn':
    case 'tool_use':
    case 'stop_sequence':
    case 'unknown':
    case null:
      return 'done'
  }
}

function cutTooOften(incomplete: Incomplete | null): ModelCallError {
  const message = `${MAX_CUT_IN_A_ROW} answers in a row did not end well; the last one: ${incomplete?.message ?? ''}`
  return { code: 'STREAM_INCOMPLETE', message, retryable: true }
}

function visibleText(turn: AssistantTurn): string {
  return turn.blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('')
}

function addUsage(sum: Usage, usage: Usage | null): Usage {
  if (usage === null) return sum
  return {
    input_uncached: sum.input_uncached + usage.input_uncached,
    cache_read: sum.cache_read + usage.cache_read,
    cache_write_5m: sum.cache_write_5m + usage.cache_write_5m,
    cache_write_1h: sum.cache_write_1h + usage.cache_write_1h,
    output: sum.output + usage.output,
    reasoning: sum.reasoning + usage.reasoning,
  }
}
