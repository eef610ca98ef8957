import { setTimeout as sleep } from 'node:timers/promises'
import type { Json } from '../../../json.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { Commit, NewEvent, StepMeta, StepOptions, StepOutcome, TurnContext } from '../../../threads/engine.ts'
import type { StopReason, ToolSpec, Usage } from '../../base/conversation.ts'
import { foldModelCall } from '../../base/model-call.ts'
import type { Incomplete, ModelCallError } from '../../base/model-call.ts'
import { wireByName } from '../../base/wires/known-wires.ts'
import { outputAllowed, planCall, secondsLeft } from '../limits/budget.ts'
import { conversation } from '../turn/messages.ts'
import { modelCaller } from './model-caller.ts'
import { inputTokens, outputTokens, ratesOf } from './prices.ts'
import type { ModelRates } from './prices.ts'
import { requestBound } from './request-bound.ts'
import { commitOf, settlement } from './model-charge.ts'
import type { HarnessServices, ModelTarget } from '../services.ts'
import { elapsedSeconds } from '../turn/state.ts'
import type { Prepared, SafetyData } from '../turn/state.ts'

/** What a journaled model call leaves in the step; the conversation itself is the message of the same commit. */
interface StepFacts {
  readonly failure: ModelCallError | null
  readonly incomplete: Incomplete | null
  readonly stop: StopReason | null
  readonly usage: Usage | null
  readonly costNano: number
  readonly agentsSha256: string
  /** `max_duration_seconds` ended the call, and not the provider or its timers. */
  readonly outOfTime: boolean
}

/** The money and tokens of all attempts of a turn. */
export interface ModelSpending {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costNano: number
}

export type ModelStepOutcome =
  | {
      readonly kind: 'answer'
      readonly stop: StopReason | null
      readonly incomplete: Incomplete | null
      /** Null when the provider reported nothing. */
      readonly usage: Usage | null
      readonly agentsSha256: string
      readonly spending: ModelSpending
    }
  | {
      readonly kind: 'failed'
      readonly error: ModelCallError
      readonly outOfTime: boolean
      readonly spending: ModelSpending
    }
  | {
      readonly kind: 'unaffordable'
      readonly bindingThreadId: string
      readonly availableNano: number
      /** A sibling was quicker, and a smaller answer still fits: worth another turn. */
      readonly again: boolean
      /** What the call can cost with the least useful answer. */
      readonly neededNano: number
      readonly spending: ModelSpending
    }

export interface ModelStepInput {
  readonly services: HarnessServices
  readonly ctx: TurnContext
  readonly data: SafetyData
  readonly prepared: Prepared
  readonly tools: readonly ToolSpec[]
  /** Of the turn, on the clock of `performance.now()`: all its steps share the time that is left. */
  readonly begunMs: number
  /** Wait before fresh attempt 2, 3, … of a call of which nothing usable arrived. */
  readonly freshAttemptDelaysMs: readonly number[]
}

/** A timer may fire a little before its time on the other clock. */
const TIMER_EARLY_MS = 50
/** The provider's timers end a stalled call long before; this only bounds an answer that never stops. */
const MODEL_STEP_TIMEOUT_MS = 30 * 60_000

/**
 * The model call of one turn as journaled steps: `model`, then `model-2`, … for fresh attempts while nothing usable arrived and the
 * error is retryable. Each reserves its worst case first and settles what was really used.
 */
export async function callModelStep(input: ModelStepInput): Promise<ModelStepOutcome> {
  let spending: ModelSpending = { inputTokens: 0, outputTokens: 0, costNano: 0 }
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await reservedStep(input, attempt)
    if (outcome.kind === 'refused') return { ...outcome, kind: 'unaffordable', spending }
    const { facts } = outcome
    spending = plus(spending, facts)
    if (facts.failure === null) {
      const { stop, incomplete, usage, agentsSha256 } = facts
      return { kind: 'answer', stop, incomplete, usage, agentsSha256, spending }
    }
    if (!facts.failure.retryable || attempt > input.freshAttemptDelaysMs.length)
      return { kind: 'failed', error: facts.failure, outOfTime: facts.outOfTime, spending }
  }
}

type Reserved =
  | { readonly kind: 'done'; readonly facts: StepFacts }
  | ({ readonly kind: 'refused' } & Pick<
      Extract<ModelStepOutcome, { kind: 'unaffordable' }>,
      'bindingThreadId' | 'availableNano' | 'again' | 'neededNano'
    >)

async function reservedStep(input: ModelStepInput, attempt: number): Promise<Reserved> {
  const { ctx, data, prepared } = input
  const rates = ratesOf(prepared.target, ctx.now())
  const agents = await input.services.agentsText()
  const system = { ...agents, text: input.services.redactor(ctx.threadId).text(agents.text) }
  const bound = requestBound({ measured: data.measured, history: ctx.history(), system: system.text, tools: input.tools })
  const wanted = {
    rates,
    inputBound: bound,
    outputTokens: outputAllowed(prepared.limits, data.added, data.spent, prepared.target.maxOutputTokens),
  }
  // The ledger decides, not this look at it: a step that a crash left recorded is replayed whatever is available now.
  const { availableNano: leftNano } = ctx.budget()
  if (rates === null && leftNano !== null) return { kind: 'done', facts: unbounded(prepared.target, system.sha256) }
  const plan = planCall({ ...wanted, availableNano: leftNano })
  const call = { ...input, rates, system, attempt, outputTokens: plan.outputTokens, reserveNano: plan.reserveNano }
  const outcome = await stepOrTimeout(call)
  if (outcome.kind === 'unknown')
    throw new KiwiError('INTERNAL', 'A model call may be repeated, but the journal holds it as one that may not.')
  // The value of this step is always StepFacts: `runCall` wrote it.
  if (outcome.kind === 'done') return { kind: 'done', facts: outcome.value as unknown as StepFacts }
  const { bindingThreadId, availableNano } = outcome
  const { affordable, reserveNano } = planCall({ ...wanted, availableNano })
  return { kind: 'refused', bindingThreadId, availableNano, again: affordable, neededNano: reserveNano ?? 0 }
}

/**
 * A price can be lost between the spawn, which asks for it, and the call: a host that was started under other settings, a changed
 * configuration. A cap binds all the same, so a call that cannot be bounded is not made.
 */
function unbounded({ model, provider }: ModelTarget, agentsSha256: string): StepFacts {
  const message =
    `No price is known any more for model ${model} of provider ${provider}, so this thread's budget cannot be kept. ` +
    'Configure its price, and retry the thread.'
  return {
    failure: { code: 'UNKNOWN_PRICE', message, retryable: false },
    incomplete: null,
    stop: null,
    usage: null,
    costNano: 0,
    agentsSha256,
    outOfTime: false,
  }
}

/** A call that did not even answer its abort is a failed attempt, charged in full by the engine. */
async function stepOrTimeout(call: PlannedCall): Promise<StepOutcome<Json>> {
  const { ctx, attempt, reserveNano } = call
  try {
    return await ctx.step<Json>(attempt === 1 ? 'model' : `model-${attempt}`, stepOptions(call), (meta) => runCall(call, meta))
  } catch (error) {
    if (!(error instanceof KiwiError) || error.code !== 'TIMEOUT' || ctx.signal.aborted) throw error
    const facts: StepFacts = {
      failure: { code: 'TIMEOUT', message: error.message, retryable: false },
      incomplete: null,
      stop: null,
      usage: null,
      costNano: reserveNano ?? 0,
      agentsSha256: call.system.sha256,
      outOfTime: isDurationOver(call),
    }
    return { kind: 'done', value: facts as unknown as Json, replayed: false }
  }
}

interface PlannedCall extends ModelStepInput {
  readonly rates: ModelRates | null
  readonly system: { readonly text: string; readonly sha256: string }
  readonly attempt: number
  readonly outputTokens: number
  readonly reserveNano: number | null
}

function stepOptions(call: PlannedCall): StepOptions {
  const { data, attempt, reserveNano } = call
  const left = millisecondsLeft(call)
  return {
    effect: 'idempotent',
    // How long a step may take decides nothing before it, so the real clock is good enough here (S2).
    timeoutMs: left === null ? MODEL_STEP_TIMEOUT_MS : Math.max(1, Math.min(MODEL_STEP_TIMEOUT_MS, left)),
    ...(reserveNano === null ? {} : { reserveNano }),
    ...(attempt === 1 ? { before: { events: [{ type: 'turn_start', payload: { turn: data.spent.turns + 1 } }] } } : {}),
  }
}

function millisecondsLeft({ prepared, data, begunMs }: PlannedCall): number | null {
  const left = secondsLeft(prepared.limits, data.added, elapsedSeconds(data.clock))
  return left === null ? null : Math.ceil(left * 1000 - (performance.now() - begunMs))
}

/** Whether a step of this call that runs out of time has reached `max_duration_seconds`; asked when its time is over. */
function isDurationOver(call: PlannedCall): boolean {
  const left = millisecondsLeft(call)
  return left !== null && left <= TIMER_EARLY_MS
}

async function runCall(call: PlannedCall, meta: StepMeta): Promise<{ readonly value: Json; readonly commit: Commit }> {
  const { ctx, prepared, system } = call
  const delayMs = call.freshAttemptDelaysMs[call.attempt - 2]
  if (delayMs !== undefined) {
    ctx.emit({ type: 'retry', attempt: call.attempt, wait_ms: delayMs })
    await pause(delayMs, meta.signal)
  }
  const sent = !meta.signal.aborted
  const turn = call.data.spent.turns + 1
  const lost: NewEvent[] = []
  const onEvent = (event: NewEvent): void => void lost.push(event)
  const outcome = await foldModelCall(
    wireByName(prepared.target.wire),
    modelCaller(call.services, ctx, {
      target: prepared.target,
      idempotencyKey: meta.idempotencyKey,
      onEvent,
      sinks: call.data.sinks,
    }),
    {
      model: prepared.target.model,
      system: system.text,
      messages: conversation(ctx.history()),
      tools: call.tools,
      maxOutputTokens: call.outputTokens,
    },
    { signal: meta.signal, onDelta: (delta) => ctx.emit({ ...delta, turn, attempt: call.attempt }) },
  )
  // An interrupted or superseded call leaves no result; a step that only ran out of time is a failed attempt.
  if (ctx.signal.aborted) ctx.signal.throwIfAborted()
  const costNano = sent ? settlement(call, outcome) : 0
  const facts: StepFacts = {
    failure: outcome.kind === 'failed' ? withoutDetail(outcome.error) : null,
    incomplete: outcome.kind === 'turn' ? outcome.incomplete : null,
    stop: outcome.turn.stop_reason,
    usage: outcome.turn.usage,
    costNano,
    agentsSha256: system.sha256,
    outOfTime: meta.signal.aborted && isDurationOver(call),
  }
  // StepFacts holds only JSON values.
  const { events = [], ...commit } = commitOf(call, outcome, costNano)
  return { value: facts as unknown as Json, commit: { ...commit, events: [...events, ...lost] } }
}

/** Ends early when the step is stopped: the call behind it then finds its signal aborted and costs nothing. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
}

function plus(spending: ModelSpending, { usage, costNano }: StepFacts): ModelSpending {
  return {
    inputTokens: spending.inputTokens + (usage === null ? 0 : inputTokens(usage)),
    outputTokens: spending.outputTokens + (usage === null ? 0 : outputTokens(usage)),
    costNano: spending.costNano + costNano,
  }
}

function withoutDetail({ code, message, retryable }: ModelCallError): ModelCallError {
  return { code, message, retryable }
}
