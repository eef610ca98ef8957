import type { JsonObject } from '../../../json.ts'
import type { StopReason, Usage } from '../conversation.ts'
import { asCount, asObject } from './untrusted-json.ts'

/**
 * Disjoint classes from overlapping counters: `prompt_tokens` includes what was read from and written to the cache, and
 * `completion_tokens` includes reasoning, except on servers whose total shows that they count reasoning beside it.
 */
export function openaiUsage(usage: JsonObject): Usage {
  const promptDetails = asObject(usage['prompt_tokens_details'])
  const completionDetails = asObject(usage['completion_tokens_details'])
  const prompt = asCount(usage['prompt_tokens']) ?? 0
  const completion = asCount(usage['completion_tokens']) ?? 0
  // DeepSeek reports its cache beside the details.
  const cached = asCount(promptDetails?.['cached_tokens']) ?? asCount(usage['prompt_cache_hit_tokens']) ?? 0
  const cacheRead = Math.min(cached, prompt)
  const cacheWrite = Math.min(asCount(promptDetails?.['cache_write_tokens']) ?? 0, prompt - cacheRead)
  const reasoning = asCount(completionDetails?.['reasoning_tokens']) ?? 0
  const countedBeside =
    reasoning > completion || (reasoning > 0 && asCount(usage['total_tokens']) === prompt + completion + reasoning)
  return {
    input_uncached: prompt - cacheRead - cacheWrite,
    cache_read: cacheRead,
    cache_write_5m: cacheWrite,
    cache_write_1h: 0,
    output: countedBeside ? completion : completion - reasoning,
    reasoning,
  }
}

/** The finish reason in our words. Some servers say `stop` with tool calls present: the calls are the truth. */
export function openaiStopReason(reason: string, callCount: number): StopReason {
  switch (reason) {
    case 'length':
      return 'max_tokens'
    case 'content_filter':
      return 'refusal'
    case 'stop':
    case 'tool_calls':
    case 'function_call':
      return callCount > 0 ? 'tool_use' : 'end_turn'
    default:
      return 'unknown'
  }
}

const FINAL_ERRORS = /invalid|authentication|permission|not_found|unsupported|insufficient_quota|context_length/i

/** Whether an error of this type or code, inside a 200, may go away by itself. */
export function isRetryableOpenaiError(type: string): boolean {
  return !FINAL_ERRORS.test(type)
}
