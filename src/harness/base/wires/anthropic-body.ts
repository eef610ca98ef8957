import type { AssistantTurn } from '../conversation.ts'
import { createAnthropicState, finishTurn } from './anthropic-fold.ts'
import { openBlock } from './anthropic-blocks.ts'
import { anthropicStopReason, isRetryableAnthropicError, mergeCounters } from './anthropic-usage.ts'
import { asArray, asObject, asText } from './untrusted-json.ts'

/** Folds a whole, non-streamed answer. It is a clean finish only with a stop reason. */
export function foldAnthropicBody(body: unknown): AssistantTurn {
  const state = createAnthropicState()
  const message = asObject(body)
  const error = asObject(message?.['error'])
  if (error !== null || message === null) {
    const type = asText(error?.['type']) ?? 'invalid_response'
    const text = asText(error?.['message']) ?? 'The answer is not a JSON object of the Messages format.'
    state.error = { type, message: text, retryable: isRetryableAnthropicError(type) }
    return finishTurn(state)
  }
  const usage = asObject(message['usage'])
  const reason = asText(message['stop_reason'])
  state.model = asText(message['model'])
  state.counters = usage === null ? null : mergeCounters(null, usage)
  state.stopReason = reason === null ? null : anthropicStopReason(reason)
  state.ended = reason !== null
  for (const [index, content] of asArray(message['content']).entries()) {
    const start = asObject(content)
    if (start !== null) state.blocks.push(openBlock(index, start))
  }
  return finishTurn(state)
}
