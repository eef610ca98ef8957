import type { Json } from '../../json.ts'
import type { Commit, Effect, StepMeta, StepOptions, TurnContext } from '../../threads/engine.ts'
import type { ToolCall, ToolSpec, TurnBlock } from '../base/conversation.ts'
import { foldModelCall } from '../base/model-call.ts'
import type { CallModel, Incomplete, ModelCallError } from '../base/model-call.ts'
import { runToolCalls } from '../base/tool-calls.ts'
import { invalidCallResult } from '../base/turn.ts'
import type { CallTool, ToolResult } from '../base/turn.ts'
import { wireByName } from '../base/wires/known-wires.ts'
import { planCall } from '../safety/limits/budget.ts'
import { hash } from '../safety/limits/loops.ts'
import { commitOf, settlement, textOf } from '../safety/model/model-charge.ts'
import { ratesOf } from '../safety/model/prices.ts'
import { requestBound } from '../safety/model/request-bound.ts'
import type { ModelTarget } from '../safety/services.ts'
import { answerCommit } from '../safety/tools/call-events.ts'
import { conversation, messageOf } from '../safety/turn/messages.ts'
import { begin } from './first-message.ts'
import { limitsOf } from './thread-limits.ts'

export interface ThreadTurnOptions {
  /** `host.resolveModel(…)`, or your own; without `price` the price list is asked for it. */
  readonly target: Pick<ModelTarget, 'wire' | 'provider' | 'model' | 'maxOutputTokens' | 'price'>
  /** Default: none. */
  readonly system?: string
  /** Default: none. */
  readonly tools?: readonly ToolSpec[]
  /** `createModelCaller(…).callModel`, or your own. */
  readonly callModel: CallModel
  /** A rejection ends the thread; a tool that failed resolves with `is_error`. */
  readonly callTool: CallTool
  /** What a call may do to the world. Default `once`: one that began before a crash is not made again, and the model is told so. */
  readonly effectOf?: (call: ToolCall) => Effect
  /** What the thread is asked to do. Default: the message that it was spawned with. */
  readonly request?: string
}

export type ThreadTurn =
  | {
      readonly kind: 'answer'
      /** Visible text. */
      readonly text: string
      /** In call order; each has its result in the conversation. None: the model is done. */
      readonly calls: readonly ToolCall[]
      readonly incomplete: Incomplete | null
    }
  /** The model could not be called. */
  | { readonly kind: 'failed'; readonly error: ModelCallError }
  /** Nothing was called: the call does not fit into what the account of `bindingThreadId` still has. */
  | { readonly kind: 'unaffordable'; readonly bindingThreadId: string; readonly availableNano: number }

const MODEL_TIMEOUT_MS = 30 * 60_000
const TOOL_TIMEOUT_MS = 10 * 60_000
/** Characters of one tool result that the model sees and the journal keeps. */
const MAX_RESULT = 16_000

/**
 * One turn of a thread over base-harness: a model call, then its tool calls, each a journaled step that is run once, whatever happens to the
 * host. The conversation is the thread's: the first turn adds the request to it, and every answer and result is a message of it. The worst
 * that a model call can cost is reserved before it is made, and what it did cost is settled with its answer.
 *
 * Call it once in a turn, as the first thing that the turn does to the world.
 */
export async function runThreadTurn(ctx: TurnContext, options: ThreadTurnOptions): Promise<ThreadTurn> {
  await begin(ctx, options.request ?? ctx.start.initialMessage)
  const called = await modelStep(ctx, options)
  if (called.kind !== 'answer') return called
  await runToolCalls(called.calls, (call, { index }) => toolStep(ctx, options, { call, index }), { signal: ctx.signal })
  ctx.record({ events: [{ type: 'turn_end', payload: { turn: ctx.turn } }] })
  return called
}

/** What a model step leaves in the journal; the answer itself is the message of the same commit. */
interface ModelFacts {
  readonly failure: ModelCallError | null
  readonly incomplete: Incomplete | null
}

interface PlannedCall {
  readonly options: ThreadTurnOptions
  readonly rates: ReturnType<typeof ratesOf>
  readonly outputTokens: number
  readonly reserveNano: number | null
}

async function modelStep(ctx: TurnContext, options: ThreadTurnOptions): Promise<ThreadTurn> {
  const { target, system = '', tools = [] } = options
  const rates = ratesOf(target, ctx.now())
  const { availableNano } = ctx.budget()
  if (rates === null && availableNano !== null) return { kind: 'failed', error: unknownPrice(target) }
  const inputBound = requestBound({ measured: null, history: ctx.history(), system, tools })
  const plan = planCall({ rates, inputBound, outputTokens: target.maxOutputTokens, availableNano })
  const call: PlannedCall = { options, rates, ...plan }
  const outcome = await ctx.step<Json>('model', stepOptions(ctx, call), (meta) => callModel(ctx, call, meta))
  if (outcome.kind === 'refused') return { ...outcome, kind: 'unaffordable' }
  if (outcome.kind === 'unknown')
    throw new TypeError('A model call may be repeated, and the journal holds it as one that may not.')
  // The value of this step is always ModelFacts: `callModel` wrote it.
  const { failure, incomplete } = outcome.value as unknown as ModelFacts
  if (failure !== null) return { kind: 'failed', error: failure }
  const blocks = answerOf(ctx)
  return { kind: 'answer', text: textOf({ blocks }), calls: callsIn(blocks), incomplete }
}

function stepOptions(ctx: TurnContext, { reserveNano }: PlannedCall): StepOptions {
  return {
    effect: 'idempotent',
    timeoutMs: MODEL_TIMEOUT_MS,
    ...(reserveNano === null ? {} : { reserveNano }),
    before: { events: [{ type: 'turn_start', payload: { turn: ctx.turn } }] },
  }
}

async function callModel(
  ctx: TurnContext,
  call: PlannedCall,
  { signal }: StepMeta,
): Promise<{ readonly value: Json; readonly commit: Commit }> {
  const { target, system = '', tools = [], callModel: send } = call.options
  const request = {
    model: target.model,
    system,
    tools,
    messages: conversation(ctx.history()),
    maxOutputTokens: call.outputTokens,
  }
  const onDelta = (delta: object): void => ctx.emit({ ...delta, turn: ctx.turn })
  const outcome = await foldModelCall(wireByName(target.wire), send, request, { signal, onDelta })
  // A call that was interrupted leaves no result.
  ctx.signal.throwIfAborted()
  const charged = { ...call, attempt: 1, prepared: { target }, system: { sha256: '' }, data: { agentsSha256: '' } }
  const facts: ModelFacts = {
    failure: outcome.kind === 'failed' ? outcome.error : null,
    incomplete: outcome.kind === 'turn' ? outcome.incomplete : null,
  }
  // ModelFacts holds only JSON values.
  return { value: facts as unknown as Json, commit: commitOf(charged, outcome, settlement(charged, outcome)) }
}

function unknownPrice({ model, provider }: ThreadTurnOptions['target']): ModelCallError {
  const message = `No price is known for model ${model} of provider ${provider}, so the budget of this thread cannot be kept.`
  return { code: 'UNKNOWN_PRICE', message, retryable: false }
}

/** The answer of this turn's model step, replayed or not. */
function answerOf(ctx: TurnContext): readonly TurnBlock[] {
  const entry = ctx.history().findLast(({ role, turn }) => role === 'assistant' && turn === ctx.turn)
  const message = entry === undefined ? null : messageOf(entry)
  return message?.role === 'assistant' ? message.blocks : []
}

function callsIn(blocks: readonly TurnBlock[]): readonly ToolCall[] {
  return blocks.flatMap((block) => (block.type === 'tool_call' ? [block.call] : []))
}

interface CallInTurn {
  readonly call: ToolCall
  readonly index: number
}

async function toolStep(ctx: TurnContext, options: ThreadTurnOptions, { call, index }: CallInTurn): Promise<void> {
  const refusal = refusalOf(ctx, call, index)
  const effect = refusal === null ? (options.effectOf?.(call) ?? 'once') : 'pure'
  const event = { tool: call.name, args_hash: hash(JSON.stringify(call.arguments)), call_id: call.id }
  const stepped = await ctx.step<Json>(
    `tool-${index}-${call.name}`,
    { effect, timeoutMs: TOOL_TIMEOUT_MS, before: { events: [{ type: 'tool_call', payload: event }] } },
    async ({ signal }) => {
      const result = refusal ?? (await options.callTool(call, { signal, index }))
      ctx.signal.throwIfAborted()
      return { value: null, commit: { ...answerTo(ctx, call, result), usage: { tool_calls: refusal === null ? 1 : 0 } } }
    },
  )
  if (stepped.kind !== 'done') ctx.record(answerTo(ctx, call, UNKNOWN))
}

const UNKNOWN: ToolResult = {
  content:
    'The outcome of this call is unknown: it had begun, and then its host stopped. It may or may not have taken effect, and it was not repeated.',
  is_error: true,
}

/** Null for a call that may run. Rests on the conversation alone, so that a replay decides the same. */
function refusalOf(ctx: TurnContext, call: ToolCall, index: number): ToolResult | null {
  if (call.invalid !== undefined) return invalidCallResult(call)
  const max = limitsOf(ctx.start)?.max_tool_calls
  if (max === undefined) return null
  const made = ctx.history().filter(({ role, turn }) => role === 'tool_result' && turn > 0 && turn < ctx.turn).length
  if (made + index < max) return null
  return { content: 'This call was not run: max_tool_calls of this thread is reached.', is_error: true }
}

function answerTo(ctx: TurnContext, { id, name }: ToolCall, { content, is_error: isError }: ToolResult): Commit {
  const cut = content.length - MAX_RESULT
  const text = cut <= 0 ? content : `${content.slice(0, MAX_RESULT)}\n[${cut} further characters are left out.]`
  return answerCommit(ctx, { id, tool: name }, text, isError)
}
