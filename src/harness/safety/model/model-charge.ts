import type { Commit, NewEvent } from '../../../threads/engine.ts'
import type { AssistantTurn, Usage } from '../../base/conversation.ts'
import { discardedPartial } from '../../base/model-call.ts'
import type { Incomplete, ModelOutcome } from '../../base/model-call.ts'
import { stored } from '../turn/messages.ts'
import { inputTokens, outputTokens, usdFromNano } from './prices.ts'
import type { ModelRates } from './prices.ts'
import type { ModelTarget } from '../services.ts'
import type { SafetyData } from '../turn/state.ts'

/** What must be known of a model call to charge and record it. */
export interface ChargedCall {
  /** Null when no price is known. */
  readonly rates: ModelRates | null
  /** The output limit of the request. */
  readonly outputTokens: number
  /** Null when no cap binds. */
  readonly reserveNano: number | null
  readonly attempt: number
  readonly system: { readonly sha256: string }
  readonly prepared: { readonly target: Pick<ModelTarget, 'wire'> }
  readonly data: Pick<SafetyData, 'agentsSha256'>
}

/**
 * What a call is charged: the reported usage when the answer ended; nothing when the provider surely did not act; otherwise the most it
 * can have cost, because its last word on the output never came.
 */
export function settlement({ rates, outputTokens: limit, reserveNano }: ChargedCall, outcome: ModelOutcome): number {
  const { turn } = outcome
  if (rates === null) return 0
  if (turn.usage === null) return outcome.kind === 'failed' && didNotAct(outcome) ? 0 : (reserveNano ?? 0)
  if (turn.clean_finish) return rates.costNano(turn.usage)
  const bound = rates.costNano({ ...turn.usage, output: Math.max(limit, turn.usage.output), reasoning: 0 })
  return reserveNano === null ? bound : Math.min(bound, reserveNano)
}

/** Failures behind which the provider may have read the request, and so may bill it, although nothing of an answer was seen. */
const MAYBE_ACTED: ReadonlySet<string> = new Set([
  'TIMEOUT',
  'CONNECTION_RESET',
  'ABORTED',
  'STREAM_INCOMPLETE',
  'INVALID_RESPONSE',
])

function didNotAct({ turn, error }: Extract<ModelOutcome, { kind: 'failed' }>): boolean {
  if (hasArrived(turn)) return false
  return !MAYBE_ACTED.has(error.code) || error.detail?.['timer'] === 'connect'
}

function hasArrived(turn: AssistantTurn): boolean {
  return turn.blocks.length > 0 || turn.partial_calls.length > 0 || turn.model !== null
}

/** What a finished call leaves: its answer as a message, its events, its usage and its money. */
export function commitOf(call: ChargedCall, outcome: ModelOutcome, costNano: number): Commit {
  const { turn } = outcome
  const answered = outcome.kind === 'turn' && turn.blocks.length > 0
  const events: NewEvent[] = []
  if (answered) events.push({ type: 'assistant_message', payload: {}, message: 0, transcript: { content: textOf(turn) } })
  if (outcome.kind === 'failed') events.push(failureEvent(outcome, call.attempt))
  else if (outcome.incomplete !== null) events.push(incompleteEvent(outcome.incomplete))
  if (turn.usage !== null || costNano > 0) events.push(costEvent(call, turn.usage, costNano))
  if (call.data.agentsSha256 !== call.system.sha256)
    events.push({ type: 'status', payload: { agents_sha256: call.system.sha256 } })
  const wire = call.prepared.target.wire
  return {
    ...(answered ? { messages: [stored({ role: 'assistant', wire, blocks: turn.blocks, raw: turn.raw })] } : {}),
    events,
    usage: { ...turn.usage, cost_nano: costNano },
    ...(call.reserveNano === null ? {} : { settleNano: costNano }),
  }
}

function costEvent({ rates }: ChargedCall, usage: Usage | null, costNano: number): NewEvent {
  return {
    type: 'cost_update',
    payload: {
      input_tokens: usage === null ? 0 : inputTokens(usage),
      output_tokens: usage === null ? 0 : outputTokens(usage),
      cache_read_tokens: usage?.cache_read ?? 0,
      cache_write_tokens: usage === null ? 0 : usage.cache_write_5m + usage.cache_write_1h,
      reasoning_tokens: usage?.reasoning ?? 0,
      cost_usd: rates === null ? null : usdFromNano(costNano),
    },
  }
}

function failureEvent({ error, turn }: Extract<ModelOutcome, { kind: 'failed' }>, attempt: number): NewEvent {
  const { code, message, retryable } = error
  const partial = discardedPartial(turn)
  const lost = partial === null ? {} : { completed_tools: [], discarded_partial: partial }
  return { type: 'stream_error', payload: { code, message, ...lost, retryable, attempt } }
}

function incompleteEvent(incomplete: Incomplete): NewEvent {
  const { code, message, completed_tools, discarded_partial, retryable, cause } = incomplete
  return { type: 'stream_error', payload: { code, message, completed_tools, discarded_partial, retryable, cause } }
}

/** The visible text of an answer. */
export function textOf(turn: Pick<AssistantTurn, 'blocks'>): string {
  return turn.blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('')
}
