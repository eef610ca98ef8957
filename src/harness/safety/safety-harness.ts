import type { Next, Runner, ThreadState, TurnContext } from '../../threads/engine.ts'
import { passRepair } from './checks/verify.ts'
import { askForSummary, giveUp, isHandingOn } from './handoff/handoff-turn.ts'
import { firstState } from './handoff/successor.ts'
import type { Settled, ThreadEvent } from './interruptions/contract.ts'
import { interrupt } from './interruptions/interrupt.ts'
import { passLimits } from './interruptions/pass-limits.ts'
import { resolvePending } from './interruptions/pending.ts'
import { concludeAnswer } from './turn/answer.ts'
import { directiveStep } from './turn/directive-step.ts'
import { callModelStep } from './model/model-step.ts'
import type { ModelStepInput, ModelStepOutcome } from './model/model-step.ts'
import { deliverParked } from './turn/parked-calls.ts'
import { usdFromNano } from './model/prices.ts'
import { redactedRunner } from './redaction.ts'
import type { HarnessServices } from './services.ts'
import { receive } from './turn/signals.ts'
import { dataOf, tick, withData } from './turn/state.ts'
import type { Prepared, SafetyData } from './turn/state.ts'
import { createToolRequests } from './tools/tool-request.ts'
import type { ToolRequests } from './tools/tool-request.ts'
import type { Interruption, Scene, TurnEnd } from './turn/scene.ts'
import { amountFor, budgetQuestion, endWith, turnEnd } from './turn/turn-draft.ts'

export interface SafetyHarnessOptions {
  /** Wait before each fresh attempt of a model call of which nothing usable arrived; as many attempts as there are entries. */
  readonly freshAttemptDelaysMs?: readonly number[]
}

interface Harness {
  readonly services: HarnessServices
  readonly requests: ToolRequests
  readonly freshAttemptDelaysMs: readonly number[]
}

/** The http tool has already retried by then; these are for streams that began and broke. */
const FRESH_ATTEMPT_DELAYS_MS: readonly number[] = [1_000, 4_000]
/** Turns in a row in which siblings may take the money first before the thread counts as out of money. */
const MAX_OUTBID_TURNS = 3
const OUTBID_WAIT_MS = 250

/**
 * Runs a directive on a managed thread: its limits are checked before each model call, its money is reserved before it is spent, its
 * tool calls are journaled steps, and loops, a full context and broken streams each end in a typed outcome.
 *
 *   S1. A turn is: deliver parked results, check limits, one model call, its tool calls, notes for the next turn.
 *   S2. Decisions before a recorded step rest on journaled state only, so that a replay reaches the same step.
 *   S3. Every tool call of an answer gets exactly one result before the model is called again.
 */
export function createSafetyHarness(services: HarnessServices, options: SafetyHarnessOptions = {}): Runner {
  const harness: Harness = {
    services,
    requests: createToolRequests(services.kernel),
    freshAttemptDelaysMs: options.freshAttemptDelaysMs ?? FRESH_ATTEMPT_DELAYS_MS,
  }
  const runner: Runner = {
    name: 'safety_harness',
    version: '1.0.0',
    init: firstState,
    receive,
    runTurn: async (ctx, state): Promise<readonly [ThreadState, Next]> => {
      const before = dataOf(state)
      const end = await runTurn(harness, ctx, { ...before, clock: tick(before.clock, ctx.now()) })
      return [{ ...withData(state, end.data), turn: ctx.turn }, end.next]
    },
  }
  return redactedRunner(runner, (threadId) => services.redactor(threadId))
}

async function runTurn(harness: Harness, ctx: TurnContext, given: SafetyData): Promise<TurnEnd> {
  let data = given
  if (data.cancelled) return { data, next: { do: 'done', status: 'cancelled', endReason: 'cancelled', result: null } }
  if (data.prepared !== null) {
    const { services, requests } = harness
    const delivered = await deliverParked({ services, requests, ctx, prepared: data.prepared, data, begunMs: performance.now() })
    if (delivered.kind === 'over') return delivered.end
    data = delivered.data
  }
  if (data.prepared === null) {
    const loaded = await directiveStep(harness.services, ctx)
    if (!loaded.ok) return endWith(ctx, data, 'spawn_failed', { message: loaded.error.message, error_code: loaded.error.code })
    data = { ...data, prepared: loaded.prepared, agentsSha256: loaded.agentsSha256 }
  }
  return data.prepared === null ? { data, next: { do: 'turn' } } : modelTurn(harness, ctx, data, data.prepared)
}

/** What must be settled before the model is called: what the thread waited for, its limits, and what hooks say of every turn. */
async function beforeModel(scene: Scene): Promise<Interruption> {
  const resolved = await resolvePending(scene)
  if (resolved.kind === 'over') return resolved
  const repaired = await passRepair({ ...scene, data: resolved.data })
  if (repaired.kind === 'over') return repaired
  const passed = await passLimits({ ...scene, data: repaired.data })
  if (passed.kind === 'over' || passed.data.stepCleared) return passed
  const event: ThreadEvent = { name: 'before_step', code: 'turn', detail: { turn: passed.data.spent.turns + 1 } }
  return interrupt({ ...scene, data: { ...passed.data, stepCleared: true } }, event, { kind: 'go_on', note: null })
}

async function modelTurn(harness: Harness, ctx: TurnContext, given: SafetyData, prepared: Prepared): Promise<TurnEnd> {
  const { services, requests, freshAttemptDelaysMs } = harness
  const before = await beforeModel({ services, ctx, prepared, data: given })
  if (before.kind === 'over') return idle(before.end)
  const cleared = { ...before.data, stepCleared: false }
  const data = await askForSummary({ services, ctx, prepared, data: cleared })
  const begunMs = performance.now()
  const input: ModelStepInput = { services, ctx, data, prepared, tools: requests.specs, begunMs, freshAttemptDelaysMs }
  const outcome = await callModelStep(input)
  if (outcome.kind === 'answer') {
    const spent = spend({ ...data, outbid: 0 }, outcome, 1)
    return concludeAnswer({ services, requests, ctx, prepared, begunMs, answer: outcome, data: spent })
  }
  const scene: Scene = { services, ctx, prepared, data: spend(data, outcome, outcome.kind === 'unaffordable' ? 0 : 1) }
  if (outcome.kind === 'unaffordable') return outOfMoney(scene, outcome)
  return isHandingOn(data) && !outcome.outOfTime ? giveUp(scene, outcome.error.message) : streamFailed(scene, outcome)
}

/** A turn that only found that it must wait is none, if it took no step. */
function idle(end: TurnEnd): TurnEnd {
  return end.next.do === 'wait' ? { ...end, next: { ...end.next, idle: true } } : end
}

function spend(data: SafetyData, { spending }: ModelStepOutcome, turns: number): SafetyData {
  const { spent } = data
  return {
    ...data,
    spent: {
      ...spent,
      turns: spent.turns + turns,
      inputTokens: spent.inputTokens + spending.inputTokens,
      outputTokens: spent.outputTokens + spending.outputTokens,
      costNano: spent.costNano + spending.costNano,
    },
  }
}

/** The reservation was refused: by this thread's own cap, or by that of an ancestor, which binds whatever `on_exceeded` says here. */
async function outOfMoney(scene: Scene, refusal: Extract<ModelStepOutcome, { kind: 'unaffordable' }>): Promise<TurnEnd> {
  const { ctx, data } = scene
  const { limits } = scene.prepared
  // The step is still the next one, and its hooks were asked.
  const waiting: SafetyData = { ...data, stepCleared: true }
  // Others draw on the same account, and most of what they have reserved comes back when their calls are settled.
  if (data.outbid < MAX_OUTBID_TURNS && (refusal.again || refusal.bindingThreadId !== ctx.threadId)) {
    const untilMs = ctx.now() + OUTBID_WAIT_MS * 2 ** data.outbid
    return {
      data: { ...waiting, outbid: data.outbid + 1 },
      next: refusal.again ? { do: 'turn' } : { do: 'wait', reason: 'timer', untilMs, idle: true },
    }
  }
  const left = usdFromNano(refusal.availableNano)
  const missing = usdFromNano(Math.max(0, refusal.neededNano - refusal.availableNano))
  const message =
    `The next model call does not fit: it can cost $${usdFromNano(refusal.neededNano).toFixed(6)}, and $${left.toFixed(6)} is left in the budget ` +
    `of thread ${refusal.bindingThreadId}.`
  const facts = { limit: 'max_cost_usd', binding_thread_id: refusal.bindingThreadId, available_usd: left, missing_usd: missing }
  const end: Settled = { kind: 'end', endReason: 'cost_exceeded', failure: { message, ...facts } }
  const event: ThreadEvent = { name: 'on_limit', code: 'max_cost_usd', detail: { message, ...facts } }
  const fresh = { ...scene, data: { ...waiting, outbid: 0 } }
  if (limits.on_exceeded !== 'escalate') return endOf(await interrupt(fresh, event, end))
  ctx.record({ events: [{ type: 'status', payload: { limit_reached: 'max_cost_usd', action: 'escalate', ...facts, message } }] })
  const question = budgetQuestion(message, {
    ...facts,
    ask: amountFor('max_cost_usd', Math.max(limits.max_cost_usd ?? 0, missing)),
  })
  return endOf(await interrupt(fresh, event, { kind: 'ask', question, refused: end }))
}

/** A turn that brought no answer is over either way. */
function endOf(interruption: Interruption): TurnEnd {
  return interruption.kind === 'over' ? interruption.end : { data: interruption.data, next: { do: 'turn' } }
}

async function streamFailed(scene: Scene, { error, outOfTime }: Extract<ModelStepOutcome, { kind: 'failed' }>): Promise<TurnEnd> {
  const { ctx, data } = scene
  ctx.record({ events: [turnEnd(data)] })
  if (outOfTime) {
    const message = 'max_duration_seconds was reached during a model call.'
    const failure = { message, limit: 'max_duration_seconds' }
    const event: ThreadEvent = { name: 'on_limit', code: 'max_duration_seconds', detail: failure }
    return endOf(await interrupt(scene, event, { kind: 'end', endReason: 'max_duration', failure }))
  }
  const failure = { message: `The model could not be called: ${error.message}`, error_code: error.code }
  const event: ThreadEvent = { name: 'on_error', code: 'stream_failed', detail: failure }
  return endOf(await interrupt(scene, event, { kind: 'end', endReason: 'stream_failed', failure }))
}
