/**
 * Keeps the limits of a thread that runs no directive, whatever its harness does: the budget that it was spawned with is not the harness's to
 * keep or to forget.
 *
 *   B1. Turns, tokens, time and reported money are checked before a turn and after it, under the cost's `on_exceeded`. A step gets no more
 *       time than is left.
 *   B2. The harness's own state is a part of the thread's, beside what is counted here; neither sees the other.
 *   B3. What the harness throws, or answers instead of a state and what comes next, ends the thread with words that name the harness.
 */
import type { Json, JsonObject } from '../../json.ts'
import type { CostLimits } from '../../kernel/items/item.ts'
import type {
  Commit,
  Next,
  Receive,
  Runner,
  StepMeta,
  StepOptions,
  ThreadState,
  TurnContext,
  UsageDelta,
} from '../../threads/engine.ts'
import { needsPerson } from '../../threads/status.ts'
import { passLimits } from '../safety/interruptions/pass-limits.ts'
import { resolvePending } from '../safety/interruptions/pending.ts'
import { secondsLeft } from '../safety/limits/budget.ts'
import type { HarnessServices } from '../safety/services.ts'
import type { Interruption, Scene, TurnEnd } from '../safety/turn/scene.ts'
import { receive as receiveLimits } from '../safety/turn/signals.ts'
import { dataOf, elapsedSeconds, freshState, stopClock, tick, withData } from '../safety/turn/state.ts'
import type { Added, Prepared, SafetyData, Spent } from '../safety/turn/state.ts'
import { endWith } from '../safety/turn/turn-draft.ts'
import { namedFailures } from './named-failures.ts'
import { limitsOf } from './thread-limits.ts'

/** The same harness on a thread whose cost binds it; a thread with a directive is left as it is. */
export function boundedRunner(services: HarnessServices, given: Runner): Runner {
  const runner = namedFailures(given)
  return {
    name: runner.name,
    version: runner.version,
    init: (start) => (limitsOf(start) === null ? runner.init(start) : packed(runner.init(start), dataOf(freshState()))),
    async runTurn(ctx, state) {
      const cost = limitsOf(ctx.start)
      if (cost === null) return runner.runTurn(ctx, state)
      const { own, inner } = unpacked(state)
      const end = await boundedTurn({ services, runner, ctx, inner }, cost, own)
      return [packed(end.inner, end.data), end.next]
    },
    receive: (state, signal, threadId) =>
      isPacked(state) ? received(runner.receive, { state, signal, threadId }) : runner.receive(state, signal, threadId),
  }
}

interface BoundedTurn {
  readonly services: HarnessServices
  readonly runner: Runner
  readonly ctx: TurnContext
  readonly inner: ThreadState
}

async function boundedTurn(
  turn: BoundedTurn,
  cost: CostLimits,
  before: SafetyData,
): Promise<TurnEnd & { readonly inner: ThreadState }> {
  const { services, runner, ctx, inner } = turn
  const begunMs = performance.now()
  const given = { ...before, clock: tick(before.clock, ctx.now()) }
  const scene: Scene = { services, ctx, prepared: preparedOf(cost), data: given }
  const passed = await passAll(scene)
  if (passed.kind === 'over') return { ...idle(passed.end), inner }
  const { data } = passed
  const left = secondsLeft(cost, data.added, elapsedSeconds(data.clock))
  const untilMs = left === null ? null : begunMs + left * 1000
  const isLate = (): boolean => untilMs !== null && performance.now() >= untilMs - TIMER_EARLY_MS && !ctx.signal.aborted
  const usages: Partial<UsageDelta>[] = []
  try {
    const [state, next] = await runner.runTurn(limitedContext(ctx, { cost, added: data.added, untilMs, usages }), inner)
    if (next.do === 'done' && next.endReason !== 'done' && isLate()) return { ...outOfTime(scene, data), inner: state }
    const counted = { ...scene, data: { ...data, spent: spentWith(data.spent, usages) } }
    return { ...(await afterTurn(counted, next)), inner: state }
  } catch (error) {
    if (!isLate()) throw error
    return { ...outOfTime(scene, data), inner }
  }
}

/** A timer may fire a little before its time on the other clock. */
const TIMER_EARLY_MS = 50

/** The turn came to nothing because its steps were stopped. */
function outOfTime({ ctx }: Scene, data: SafetyData): TurnEnd {
  const message = 'max_duration_seconds was reached during a turn.'
  return endWith(ctx, data, 'max_duration', { message, limit: 'max_duration_seconds' })
}

async function passAll(scene: Scene): Promise<Interruption> {
  const resolved = await resolvePending(scene)
  return resolved.kind === 'over' ? resolved : passLimits({ ...scene, data: resolved.data })
}

/** Looked at here too, so that a thread takes no turn only to learn that it may not. */
async function afterTurn(scene: Scene, next: Next): Promise<TurnEnd> {
  if (next.do === 'done') return { data: scene.data, next }
  if (next.do === 'wait') {
    const stops = needsPerson('waiting', next.reason)
    return { data: stops ? { ...scene.data, clock: stopClock(scene.data.clock) } : scene.data, next }
  }
  const passed = await passLimits(scene)
  return passed.kind === 'over' ? passed.end : { data: passed.data, next }
}

/** A turn that only found that it must wait is none, if it took no step. */
function idle(end: TurnEnd): TurnEnd {
  return end.next.do === 'wait' ? { ...end, next: { ...end.next, idle: true } } : end
}

function spentWith(spent: Spent, usages: readonly Partial<UsageDelta>[]): Spent {
  const sum = (...names: readonly (keyof UsageDelta)[]): number =>
    usages.reduce((total, usage) => names.reduce((part, name) => part + (usage[name] ?? 0), total), 0)
  return {
    turns: spent.turns + 1,
    inputTokens: spent.inputTokens + sum('input_uncached', 'cache_read', 'cache_write_5m', 'cache_write_1h'),
    outputTokens: spent.outputTokens + sum('output', 'reasoning'),
    toolCalls: spent.toolCalls + sum('tool_calls'),
    costNano: spent.costNano + sum('cost_nano'),
  }
}

interface Bounds {
  readonly cost: CostLimits
  readonly added: Added
  /** On the clock of `performance.now()`; null is unlimited. How long a step may take decides nothing before it. */
  readonly untilMs: number | null
  /** What the turn reports, in any order. */
  readonly usages: Partial<UsageDelta>[]
}

/** The harness sees its limits as they are now, with what was added to them. */
function limitedContext(ctx: TurnContext, { cost, added, untilMs, usages }: Bounds): TurnContext {
  const count = (commit: Commit | undefined): void => void usages.push(commit?.usage ?? {})
  return {
    ...ctx,
    // Plain data; the interface only lacks an index signature.
    start: { ...ctx.start, options: { ...ctx.start.options, cost: raised(cost, added) as unknown as JsonObject } },
    async step<T extends Json>(
      name: string,
      options: StepOptions,
      run: (meta: StepMeta) => Promise<{ readonly value: T; readonly commit?: Commit }>,
    ) {
      const leftMs = untilMs === null ? options.timeoutMs : Math.max(1, Math.ceil(untilMs - performance.now()))
      count(options.before)
      const bounded = { ...options, timeoutMs: Math.min(options.timeoutMs, leftMs) }
      const outcome = await ctx.step(name, bounded, async (meta) => {
        const { value, commit } = await run(meta)
        return { value: { value, usage: { ...commit?.usage } }, ...(commit === undefined ? {} : { commit }) }
      })
      if (outcome.kind !== 'done') return outcome
      // In the step's value, so that a replay counts the same.
      count({ usage: outcome.value.usage })
      return { ...outcome, value: outcome.value.value }
    },
    record(commit) {
      count(commit)
      ctx.record(commit)
    },
  }
}

function raised(cost: CostLimits, added: Added): CostLimits {
  const { max_tool_calls: toolCalls, max_output_tokens: outputTokens } = cost
  return {
    ...cost,
    max_turns: cost.max_turns + added.turns,
    ...(toolCalls === undefined ? {} : { max_tool_calls: toolCalls + added.toolCalls }),
    ...(outputTokens === undefined ? {} : { max_output_tokens: outputTokens + added.tokens }),
  }
}

function received(receive: Receive, at: { readonly state: ThreadState } & Omit<Signalled, 'state'>): ReturnType<Receive> {
  const { state, signal, threadId } = at
  const { own, inner } = unpacked(state)
  const counted = receiveLimits(withData(inner, own), signal)
  const told = receive(inner, signal, threadId)
  const { approvals } = counted.commit ?? {}
  const commit = {
    ...told.commit,
    ...(approvals === undefined ? {} : { approvals: [...(told.commit?.approvals ?? []), ...approvals] }),
  }
  return { state: packed(told.state, dataOf(counted.state)), ...(Object.keys(commit).length === 0 ? {} : { commit }) }
}

interface Signalled {
  readonly state: ThreadState
  readonly signal: Parameters<Receive>[1]
  readonly threadId: string | undefined
}

/** B2 */
function packed(inner: ThreadState, own: SafetyData): ThreadState {
  // SafetyData holds only JSON values.
  return { ...inner, data: { harness: inner.data, limits: own as unknown as JsonObject } }
}

function isPacked({ data }: ThreadState): boolean {
  return data['limits'] !== undefined && data['harness'] !== undefined
}

function unpacked(state: ThreadState): { readonly own: SafetyData; readonly inner: ThreadState } {
  // Only `packed` writes these.
  const { harness, limits } = state.data as { readonly harness: JsonObject; readonly limits: JsonObject }
  return { own: dataOf({ ...state, data: limits }), inner: { ...state, data: harness } }
}

/** Of a directive there is none, and no limit that is kept here asks for a model. */
function preparedOf(limits: CostLimits): Prepared {
  return { limits, target: NO_TARGET, contextLimit: null }
}

const NO_TARGET: Prepared['target'] = {
  tool: '',
  wire: 'anthropic_messages',
  provider: '',
  model: '',
  maxOutputTokens: 0,
  contextWindow: null,
  price: null,
}
