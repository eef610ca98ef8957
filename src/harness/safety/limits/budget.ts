import type { CostLimits } from '../../../kernel/items/item.ts'
import type { EndReason } from '../../../threads/engine.ts'
import type { ModelRates } from '../model/prices.ts'
import { nanoFromUsd } from '../model/prices.ts'
import type { Added, Measured, Spent } from '../turn/state.ts'

/** A limit that has been reached, in its own unit; money in nano-dollars. */
export interface Exceeded {
  readonly limit: keyof CostLimits
  readonly endReason: EndReason
  readonly used: number
  readonly max: number
}

/** Below this an answer is not worth its input, and the call is refused instead. */
const MIN_USEFUL_OUTPUT_TOKENS = 256
/** Providers add a hidden prompt for tool use (up to about 530 tokens) that is first seen in the first measured answer. */
const FIRST_CALL_OVERHEAD_TOKENS = 1024
/** Role marks and separators around one message, far above what any provider spends. */
const MESSAGE_OVERHEAD_TOKENS = 32

export interface LimitInput {
  readonly limits: CostLimits
  readonly added: Added
  readonly spent: Spent
  readonly elapsedSeconds: number
}

/**
 * Every limit that is reached (`current ≥ max`), in the order turns, tokens, duration, money: the first one ends the thread. Spawns are
 * refused where they are asked for, in the transaction that would make the child, and tool calls where they are run.
 */
export function exceededLimits(input: LimitInput): readonly Exceeded[] {
  const { limits, added, spent } = input
  const found: Exceeded[] = []
  const check = (limit: keyof CostLimits, endReason: EndReason, used: number, max: number | undefined): void => {
    if (max !== undefined && used >= max) found.push({ limit, endReason, used, max })
  }
  check('max_turns', 'max_turns', spent.turns, limits.max_turns + added.turns)
  check('max_input_tokens', 'max_tokens', spent.inputTokens, plus(limits.max_input_tokens, added.tokens))
  check('max_output_tokens', 'max_tokens', spent.outputTokens, plus(limits.max_output_tokens, added.tokens))
  check('max_total_tokens', 'max_tokens', spent.inputTokens + spent.outputTokens, plus(limits.max_total_tokens, added.tokens))
  check('max_duration_seconds', 'max_duration', input.elapsedSeconds, plus(limits.max_duration_seconds, added.seconds))
  // What children spend binds through the ledger; here only what the journaled state knows, so that a replay decides the same.
  const maxNano = limits.max_cost_usd === undefined ? undefined : nanoFromUsd(limits.max_cost_usd) + added.nano
  check('max_cost_usd', 'cost_exceeded', spent.costNano, maxNano)
  return found
}

/** The limit on tool calls when the next call would break it, else null. */
export function exceededToolCalls(limits: CostLimits, added: Added, toolCalls: number): Exceeded | null {
  const max = plus(limits.max_tool_calls, added.toolCalls)
  return max !== undefined && toolCalls >= max
    ? { limit: 'max_tool_calls', endReason: 'max_tool_calls', used: toolCalls, max }
    : null
}

/** Seconds until `max_duration_seconds`; null without that limit or when it only warns. */
export function secondsLeft(limits: CostLimits, added: Added, elapsed: number): number | null {
  const max = plus(limits.max_duration_seconds, added.seconds)
  return max === undefined || limits.on_exceeded === 'warn' ? null : Math.max(0, max - elapsed)
}

/**
 * The most input tokens that the next request can be billed for: what the provider measured last, its answer, and one token for every
 * byte added since (no tokenizer makes more tokens than bytes). Without a measurement every byte of the request counts.
 */
export function inputBound(
  measured: Measured | null,
  added: { readonly bytes: number; readonly messages: number; readonly answerBytes: number },
): number {
  const grown = added.bytes + added.messages * MESSAGE_OVERHEAD_TOKENS
  if (measured === null) return grown + FIRST_CALL_OVERHEAD_TOKENS
  // Hidden reasoning is replayed by signature: its bytes are few and its tokens are many.
  return measured.inputTokens + Math.max(measured.outputTokens, added.answerBytes) + grown
}

/** Output tokens a request may ask for under the token limits alone; at least 1, because a reached limit refuses the call before. */
export function outputAllowed(limits: CostLimits, added: Added, spent: Spent, modelMaximum: number): number {
  if (limits.on_exceeded === 'warn') return modelMaximum
  const byOutput = plus(limits.max_output_tokens, added.tokens)
  return Math.max(1, Math.min(modelMaximum, byOutput === undefined ? modelMaximum : byOutput - spent.outputTokens))
}

/** How one call is asked for. `reserveNano` is null where no money binds it or its price is unknown. */
export interface CallPlan {
  readonly outputTokens: number
  readonly reserveNano: number | null
  /** False: not even the least useful answer fits, and the ledger will refuse this reservation. */
  readonly affordable: boolean
}

/** Fits the worst case of one call into what is available, by lowering its output limit down to the least useful answer. */
export function planCall(input: {
  readonly rates: ModelRates | null
  readonly inputBound: number
  readonly outputTokens: number
  readonly availableNano: number | null
}): CallPlan {
  const { rates, availableNano, outputTokens, inputBound: bound } = input
  if (rates === null || availableNano === null) return { outputTokens, reserveNano: null, affordable: true }
  const least = Math.min(MIN_USEFUL_OUTPUT_TOKENS, outputTokens)
  const fits = Math.min(rates.outputThatFits(availableNano, bound), outputTokens)
  const affordable = fits >= least
  const chosen = affordable ? fits : least
  return { outputTokens: chosen, reserveNano: rates.worstNano(bound, chosen), affordable }
}

function plus(limit: number | undefined, added: number): number | undefined {
  return limit === undefined ? undefined : limit + added
}
