import type { JsonObject } from '../../../json.ts'
import type { StopReason, Usage } from '../conversation.ts'
import { asCount, asObject } from './untrusted-json.ts'

/** Counters as the provider names them; `message_delta` gives cumulative values of the ones it names, the others stand. */
export interface AnthropicCounters {
  input: number
  cacheRead: number
  cacheWrite: number
  cacheWrite1h: number
  output: number
  thinking: number
}

/** The counters with every class that `usage` names replaced; null and absent leave a class as it was. */
export function mergeCounters(known: AnthropicCounters | null, usage: JsonObject): AnthropicCounters {
  const created = asObject(usage['cache_creation'])
  const details = asObject(usage['output_tokens_details'])
  const write5m = asCount(created?.['ephemeral_5m_input_tokens'])
  const write1h = asCount(created?.['ephemeral_1h_input_tokens'])
  const writeSum = write5m === null && write1h === null ? null : (write5m ?? 0) + (write1h ?? 0)
  return {
    input: asCount(usage['input_tokens']) ?? known?.input ?? 0,
    cacheRead: asCount(usage['cache_read_input_tokens']) ?? known?.cacheRead ?? 0,
    cacheWrite: asCount(usage['cache_creation_input_tokens']) ?? writeSum ?? known?.cacheWrite ?? 0,
    cacheWrite1h: write1h ?? known?.cacheWrite1h ?? 0,
    output: asCount(usage['output_tokens']) ?? known?.output ?? 0,
    thinking: asCount(details?.['thinking_tokens']) ?? known?.thinking ?? 0,
  }
}

/** `input_tokens` excludes both cache classes; `cache_creation_input_tokens` is the sum of 5m and 1h; `output_tokens` includes thinking. */
export function anthropicUsage(counters: AnthropicCounters): Usage {
  const write1h = Math.min(counters.cacheWrite1h, counters.cacheWrite)
  const reasoning = Math.min(counters.thinking, counters.output)
  return {
    input_uncached: counters.input,
    cache_read: counters.cacheRead,
    cache_write_5m: counters.cacheWrite - write1h,
    cache_write_1h: write1h,
    output: counters.output - reasoning,
    reasoning,
  }
}

const STOP_REASONS: ReadonlyMap<string, StopReason> = new Map<string, StopReason>([
  ['end_turn', 'end_turn'],
  ['tool_use', 'tool_use'],
  ['max_tokens', 'max_tokens'],
  ['stop_sequence', 'stop_sequence'],
  ['refusal', 'refusal'],
  ['pause_turn', 'pause_turn'],
  ['model_context_window_exceeded', 'context_exceeded'],
])

/** The stop reason in our words; a reason that is not known yet is `unknown`. */
export function anthropicStopReason(reason: string): StopReason {
  return STOP_REASONS.get(reason) ?? 'unknown'
}

const FINAL_ERRORS: ReadonlySet<string> = new Set([
  'invalid_request_error',
  'authentication_error',
  'permission_error',
  'billing_error',
  'not_found_error',
  'request_too_large',
])

/** Whether an `error` event of this type may go away by itself (overload, rate limit, an internal fault). */
export function isRetryableAnthropicError(type: string): boolean {
  return !FINAL_ERRORS.has(type)
}
