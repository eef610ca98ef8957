import type { StreamEvent } from '../../../primitives/http-client/contract.ts'
import type { Json, JsonObject } from '../../../json.ts'
import type { AssistantTurn, PartialCall, StopReason, TurnBlock } from '../conversation.ts'
import { finishBlock, openBlock } from './anthropic-blocks.ts'
import type { OpenBlock } from './anthropic-blocks.ts'
import { anthropicStopReason, anthropicUsage, isRetryableAnthropicError, mergeCounters } from './anthropic-usage.ts'
import type { AnthropicCounters } from './anthropic-usage.ts'
import { readStringDelta } from './text-delta.ts'
import { asCount, asObject, asText, jsonProblem, parseJson } from './untrusted-json.ts'
import type { Fold, LiveDelta } from './wire.ts'

/**
 * Folds one Anthropic stream.
 *
 *   A1. Nothing is interpreted twice: text is appended, JSON fragments are joined and parsed once, in `finish`.
 *   A2. After an `error` event, or data that is not JSON, nothing more is folded: what had arrived stands like after a cut.
 *   A3. A call is closed by its `content_block_stop`, or by `message_stop` where a server leaves that out.
 */
export interface AnthropicState {
  /** In order of arrival. */
  readonly blocks: OpenBlock[]
  counters: AnthropicCounters | null
  stopReason: StopReason | null
  model: string | null
  ended: boolean
  error: AssistantTurn['error']
  readonly onDelta: ((delta: LiveDelta) => void) | undefined
}

/** A fold of no events yet. */
export function createAnthropicFold(onDelta?: (delta: LiveDelta) => void): Fold {
  const state = createAnthropicState(onDelta)
  return { push: (event) => pushEvent(state, event), finish: () => finishTurn(state) }
}

/** State that a streamed and a whole answer share. */
export function createAnthropicState(onDelta?: (delta: LiveDelta) => void): AnthropicState {
  return { blocks: [], counters: null, stopReason: null, model: null, ended: false, error: null, onDelta }
}

const UNREAD_EVENTS: ReadonlySet<string> = new Set(['ping', 'keepalive', 'keep-alive', 'heartbeat'])

function pushEvent(state: AnthropicState, { event, data }: StreamEvent): void {
  if (state.error !== null || UNREAD_EVENTS.has(event)) return
  const delta = readStringDelta(data)
  if (delta !== null) {
    appendDelta(state, delta.index, delta.kind, delta.value)
    return
  }
  if (data.trim() === '') return
  const parsed = parseJson(data)
  if (parsed === undefined) {
    const message = `A ${event} event is not valid JSON: ${jsonProblem(data)}`
    state.error = { type: 'invalid_event', message, retryable: true }
    return
  }
  const body = asObject(parsed)
  if (body !== null) foldEvent(state, body)
}

function foldEvent(state: AnthropicState, body: JsonObject): void {
  switch (asText(body['type']) ?? '') {
    case 'content_block_delta':
      foldDelta(state, body)
      break
    case 'content_block_start': {
      const start = asObject(body['content_block'])
      if (start !== null) startBlock(state, asCount(body['index']) ?? state.blocks.length, start)
      break
    }
    case 'content_block_stop': {
      const block = findBlock(state, asCount(body['index']) ?? -1)
      if (block !== null) block.closed = true
      break
    }
    case 'message_start':
      foldMessage(state, asObject(body['message']))
      break
    case 'message_delta':
      foldMessageDelta(state, body)
      break
    case 'message_stop':
      state.ended = true
      break
    case 'error':
      foldError(state, asObject(body['error']))
      break
    default:
      // Event types are added over time; unknown ones are ignored, as the provider asks.
      break
  }
}

function startBlock(state: AnthropicState, index: number, start: JsonObject): void {
  const block = openBlock(index, start)
  state.blocks.push(block)
  if (block.type === 'tool_use') state.onDelta?.({ type: 'tool_call', name: asText(start['name']) ?? '' })
  const initial = block.text.text()
  if (initial !== '') emitText(state, block, initial)
}

/** The newest open block of an index; almost always the last one. */
function findBlock(state: AnthropicState, index: number): OpenBlock | null {
  for (let at = state.blocks.length - 1; at >= 0; at -= 1) {
    const block = state.blocks[at]
    if (block?.index === index) return block.closed ? null : block
  }
  return null
}

function foldDelta(state: AnthropicState, body: JsonObject): void {
  const index = asCount(body['index']) ?? -1
  const delta = asObject(body['delta'])
  if (delta === null) return
  switch (asText(delta['type']) ?? '') {
    case 'text_delta':
      appendDelta(state, index, 'text_delta', delta['text'])
      break
    case 'thinking_delta':
      appendDelta(state, index, 'thinking_delta', delta['thinking'])
      break
    case 'input_json_delta':
      appendDelta(state, index, 'input_json_delta', delta['partial_json'])
      break
    case 'signature_delta': {
      const block = findBlock(state, index)
      if (block !== null) block.signature += asText(delta['signature']) ?? ''
      break
    }
    case 'citations_delta': {
      const citation = delta['citation']
      if (citation !== undefined) findBlock(state, index)?.citations.push(citation)
      break
    }
    default:
      break
  }
}

function appendDelta(
  state: AnthropicState,
  index: number,
  kind: 'text_delta' | 'thinking_delta' | 'input_json_delta',
  value: unknown,
): void {
  if (typeof value !== 'string' || value === '') return
  const block = findBlock(state, index)
  if (block === null) return
  if (kind === 'input_json_delta') {
    block.json.add(value)
    return
  }
  if ((kind === 'thinking_delta') !== (block.type === 'thinking')) return
  block.text.add(value)
  emitText(state, block, value)
}

function emitText(state: AnthropicState, block: OpenBlock, text: string): void {
  if (block.type === 'text') state.onDelta?.({ type: 'text', text })
  else if (block.type === 'thinking') state.onDelta?.({ type: 'reasoning', text })
}

function foldMessage(state: AnthropicState, message: JsonObject | null): void {
  state.model = asText(message?.['model']) ?? state.model
  const usage = asObject(message?.['usage'])
  if (usage !== null) state.counters = mergeCounters(state.counters, usage)
}

function foldMessageDelta(state: AnthropicState, body: JsonObject): void {
  const reason = asText(asObject(body['delta'])?.['stop_reason'])
  if (reason !== null) state.stopReason = anthropicStopReason(reason)
  const usage = asObject(body['usage'])
  if (usage !== null) state.counters = mergeCounters(state.counters, usage)
}

function foldError(state: AnthropicState, error: JsonObject | null): void {
  const type = asText(error?.['type']) ?? 'unknown_error'
  const message = asText(error?.['message']) ?? 'The provider ended the stream with an error that has no message.'
  state.error = { type, message, retryable: isRetryableAnthropicError(type) }
}

/** The turn of what has arrived so far. */
export function finishTurn(state: AnthropicState): AssistantTurn {
  const clean = state.ended && state.error === null
  const blocks: TurnBlock[] = []
  const partials: PartialCall[] = []
  const raw: Json[] = []
  const ids = new Set<string>()
  for (const block of state.blocks) {
    if (clean) block.closed = true
    const finished = finishBlock(block, state.stopReason === 'max_tokens')
    if (finished.partial !== null) partials.push(finished.partial)
    if (finished.view?.type === 'tool_call') {
      // Two calls with one id could not be answered apart; the second is the server repeating itself.
      if (ids.has(finished.view.call.id)) continue
      ids.add(finished.view.call.id)
    }
    if (finished.view !== null) blocks.push(finished.view)
    if (finished.raw !== null) raw.push(finished.raw)
  }
  return {
    blocks,
    tool_calls: blocks.flatMap((block) => (block.type === 'tool_call' ? [block.call] : [])),
    partial_calls: partials,
    usage: state.counters === null ? null : anthropicUsage(state.counters),
    stop_reason: ids.size > 0 && state.stopReason === 'end_turn' ? 'tool_use' : state.stopReason,
    clean_finish: clean,
    raw,
    model: state.model,
    error: state.error,
  }
}
