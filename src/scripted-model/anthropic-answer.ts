import type { Json, JsonObject } from '../json.ts'
import { thinkingSignature } from './anthropic-request.ts'
import type { OutputPart, OutputPlan } from './output-plan.ts'
import type { ScriptedUsage } from './scenario.ts'
import type { WireAnswer, WireEvent } from './stream-event.ts'

export interface AnthropicAnswerOptions {
  readonly id: string
  readonly model: string
  readonly plan: OutputPlan
  readonly usage: ScriptedUsage
  readonly oneHour: boolean
}

/** The Messages answer of a plan: its events and its whole body. */
export function anthropicAnswer(options: AnthropicAnswerOptions): WireAnswer {
  return { events: events(options), body: JSON.stringify(message(options)) }
}

/** An error body, which is also the data of an `error` event. */
export function anthropicError(type: string, text: string, requestId: string): JsonObject {
  return { type: 'error', error: { type, message: text }, request_id: requestId }
}

/** An `error` event inside a stream. */
export function anthropicErrorEvent(type: string, text: string): string {
  return event('error', { type: 'error', error: { type, message: text } })
}

function message({ id, model, plan, usage, oneHour }: AnthropicAnswerOptions): JsonObject {
  return {
    id,
    type: 'message',
    role: 'assistant',
    model,
    content: plan.parts.map(wholeBlock),
    stop_reason: plan.stop,
    stop_sequence: null,
    usage: { ...inputUsage(usage, oneHour), ...outputUsage(usage) },
  }
}

function wholeBlock(part: OutputPart): JsonObject {
  const text = part.pieces.join('')
  switch (part.kind) {
    case 'reasoning':
      return { type: 'thinking', thinking: text, signature: thinkingSignature(text) }
    case 'text':
      return { type: 'text', text }
    case 'call':
      return { type: 'tool_use', id: part.id, name: part.name, input: parsedInput(text) }
  }
}

/** The API never sends broken input in a whole body. */
function parsedInput(text: string): Json {
  try {
    // JSON.parse can give nothing but JSON values.
    return JSON.parse(text) as Json
  } catch {
    return {}
  }
}

function events({ id, model, plan, usage, oneHour }: AnthropicAnswerOptions): readonly WireEvent[] {
  const list: WireEvent[] = []
  const add = (name: string, data: JsonObject, paced = false): void => {
    list.push({ text: event(name, data), paced })
  }
  const empty = { id, type: 'message', role: 'assistant', model, content: [], stop_reason: null, stop_sequence: null }
  add('message_start', {
    type: 'message_start',
    message: { ...empty, usage: { ...inputUsage(usage, oneHour), output_tokens: 1 } },
  })
  for (const [index, part] of plan.parts.entries()) {
    add('content_block_start', { type: 'content_block_start', index, content_block: emptyBlock(part) })
    if (index === 0) add('ping', { type: 'ping' })
    // The first fragment of a call's input is empty on the real wire too.
    if (part.kind === 'call')
      add('content_block_delta', { type: 'content_block_delta', index, delta: { type: 'input_json_delta', partial_json: '' } })
    for (const piece of part.pieces)
      add('content_block_delta', { type: 'content_block_delta', index, delta: delta(part, piece) }, true)
    if (part.kind === 'reasoning') {
      const signature = thinkingSignature(part.pieces.join(''))
      add('content_block_delta', { type: 'content_block_delta', index, delta: { type: 'signature_delta', signature } })
    }
    add('content_block_stop', { type: 'content_block_stop', index })
  }
  add('message_delta', {
    type: 'message_delta',
    delta: { stop_reason: plan.stop, stop_sequence: null },
    usage: outputUsage(usage),
  })
  add('message_stop', { type: 'message_stop' })
  return list
}

function emptyBlock(part: OutputPart): JsonObject {
  switch (part.kind) {
    case 'reasoning':
      return { type: 'thinking', thinking: '', signature: '' }
    case 'text':
      return { type: 'text', text: '' }
    case 'call':
      return { type: 'tool_use', id: part.id, name: part.name, input: {} }
  }
}

function delta(part: OutputPart, piece: string): JsonObject {
  switch (part.kind) {
    case 'reasoning':
      return { type: 'thinking_delta', thinking: piece }
    case 'text':
      return { type: 'text_delta', text: piece }
    case 'call':
      return { type: 'input_json_delta', partial_json: piece }
  }
}

function inputUsage(usage: ScriptedUsage, oneHour: boolean): JsonObject {
  return {
    input_tokens: usage.input,
    cache_creation_input_tokens: usage.cache_write,
    cache_read_input_tokens: usage.cache_read,
    cache_creation: {
      ephemeral_5m_input_tokens: oneHour ? 0 : usage.cache_write,
      ephemeral_1h_input_tokens: oneHour ? usage.cache_write : 0,
    },
    service_tier: 'standard',
  }
}

function outputUsage(usage: ScriptedUsage): JsonObject {
  return {
    output_tokens: usage.output + usage.reasoning,
    ...(usage.reasoning > 0 ? { output_tokens_details: { thinking_tokens: usage.reasoning } } : {}),
  }
}

function event(name: string, data: JsonObject): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
