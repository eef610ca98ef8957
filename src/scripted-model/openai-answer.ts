import type { Json, JsonObject } from '../json.ts'
import type { OutputPart, OutputPlan } from './output-plan.ts'
import type { ScriptedUsage } from './scenario.ts'
import type { WireAnswer, WireEvent } from './stream-event.ts'

export interface OpenaiAnswerOptions {
  readonly id: string
  readonly model: string
  readonly plan: OutputPlan
  readonly usage: ScriptedUsage
  /** `stream_options.include_usage` of the request. */
  readonly includeUsage: boolean
}

const FINGERPRINT = 'fp_scripted'
const FINISH: Readonly<Record<OutputPlan['stop'], string>> = {
  end_turn: 'stop',
  tool_use: 'tool_calls',
  max_tokens: 'length',
  refusal: 'content_filter',
}

/** The Chat Completions answer of a plan: its chunks and its whole body. */
export function openaiAnswer(options: OpenaiAnswerOptions): WireAnswer {
  return { events: chunks(options), body: JSON.stringify(completion(options)) }
}

/** An error body, which is also what an error inside a stream looks like. */
export function openaiError(type: string, text: string, code: string | null): JsonObject {
  return { error: { message: text, type, param: null, code } }
}

/** An error chunk inside a stream. */
export function openaiErrorEvent(type: string, text: string): string {
  return line(openaiError(type, text, type))
}

function head({ id, model }: OpenaiAnswerOptions, object: string): JsonObject {
  return { id, object, created: 1_760_000_000, model, service_tier: 'default', system_fingerprint: FINGERPRINT }
}

function completion(options: OpenaiAnswerOptions): JsonObject {
  const { plan } = options
  const text = textOf(plan.parts, 'text')
  const reasoning = textOf(plan.parts, 'reasoning')
  const calls = plan.parts.flatMap((part) =>
    part.kind === 'call'
      ? [{ id: part.id, type: 'function', function: { name: part.name, arguments: part.pieces.join('') } }]
      : [],
  )
  const message = {
    role: 'assistant',
    content: text === '' && calls.length > 0 ? null : text,
    refusal: null,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  }
  return {
    ...head(options, 'chat.completion'),
    choices: [{ index: 0, message, logprobs: null, finish_reason: FINISH[plan.stop] }],
    usage: usageBody(options.usage),
  }
}

function chunks(options: OpenaiAnswerOptions): readonly WireEvent[] {
  const list: WireEvent[] = []
  const base = head(options, 'chat.completion.chunk')
  const usage = options.includeUsage ? { usage: null } : {}
  const add = (delta: Json, finish: string | null = null, paced = false): void => {
    list.push({ text: line({ ...base, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...usage }), paced })
  }
  add({ role: 'assistant', content: '', refusal: null })
  let index = 0
  for (const part of options.plan.parts) {
    if (part.kind === 'call') {
      add({ tool_calls: [{ index, id: part.id, type: 'function', function: { name: part.name, arguments: '' } }] })
      for (const piece of part.pieces) add({ tool_calls: [{ index, function: { arguments: piece } }] }, null, true)
      index += 1
      continue
    }
    for (const piece of part.pieces) add(part.kind === 'text' ? { content: piece } : { reasoning_content: piece }, null, true)
  }
  add({}, FINISH[options.plan.stop])
  if (options.includeUsage) list.push({ text: line({ ...base, choices: [], usage: usageBody(options.usage) }), paced: false })
  list.push({ text: 'data: [DONE]\n\n', paced: false })
  return list
}

function textOf(parts: readonly OutputPart[], kind: 'text' | 'reasoning'): string {
  return parts.flatMap((part) => (part.kind === kind ? part.pieces : [])).join('')
}

function usageBody(usage: ScriptedUsage): JsonObject {
  const prompt = usage.input + usage.cache_read + usage.cache_write
  const completionTokens = usage.output + usage.reasoning
  return {
    prompt_tokens: prompt,
    completion_tokens: completionTokens,
    total_tokens: prompt + completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cache_read, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: usage.reasoning, audio_tokens: 0 },
  }
}

function line(data: JsonObject): string {
  return `data: ${JSON.stringify(data)}\n\n`
}
