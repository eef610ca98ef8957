import type { StreamEvent } from '../../../primitives/http-client/contract.ts'
import type { Json, JsonObject } from '../../../json.ts'
import type { AssistantTurn, TurnBlock, Usage } from '../conversation.ts'
import { createContentTemplate } from './content-template.ts'
import { addCallFragments, finishCalls } from './openai-calls.ts'
import type { OpenCall } from './openai-calls.ts'
import { isRetryableOpenaiError, openaiStopReason, openaiUsage } from './openai-usage.ts'
import { createTextPieces } from './text-pieces.ts'
import type { TextPieces } from './text-pieces.ts'
import { asArray, asObject, asText, jsonProblem, parseJson } from './untrusted-json.ts'
import type { Fold, LiveDelta } from './wire.ts'

/**
 * Folds one Chat Completions stream.
 *
 *   O1. Only the first choice is read. Nothing is interpreted twice: fragments are joined and parsed once, in `finish`.
 *   O2. After an error, or data that is not JSON, nothing more is folded: what had arrived stands like after a cut.
 *   O3. A finish reason is the end marker (`[DONE]` is not delivered to sinks); usage may still follow it.
 */
interface OpenaiState {
  readonly text: TextPieces
  readonly reasoning: TextPieces
  /** The field that carried reasoning, which differs by server. */
  reasoningField: string | null
  readonly calls: OpenCall[]
  refused: boolean
  usage: Usage | null
  finishReason: string | null
  model: string | null
  answerId: string | null
  error: AssistantTurn['error']
  readonly onDelta: ((delta: LiveDelta) => void) | undefined
}

function createState(onDelta?: (delta: LiveDelta) => void): OpenaiState {
  return {
    text: createTextPieces(),
    reasoning: createTextPieces(),
    reasoningField: null,
    calls: [],
    refused: false,
    usage: null,
    finishReason: null,
    model: null,
    answerId: null,
    error: null,
    onDelta,
  }
}

/** A fold of no events yet. */
export function createOpenaiFold(onDelta?: (delta: LiveDelta) => void): Fold {
  const state = createState(onDelta)
  const template = createContentTemplate()
  return {
    push: ({ event, data }: StreamEvent) => {
      if (state.error !== null) return
      const content = template.read(data)
      if (content !== null) {
        addText(state, content)
        return
      }
      const chunk = readChunk(state, event, data)
      if (chunk === null) return
      const onlyContent = foldChunk(state, chunk)
      if (onlyContent !== null) template.learn(data, onlyContent)
    },
    finish: () => finishTurn(state),
  }
}

/** Folds a whole, non-streamed answer: its `message` is read like one delta. */
export function foldOpenaiBody(body: unknown): AssistantTurn {
  const state = createState()
  const answer = asObject(body)
  if (answer === null) {
    state.error = {
      type: 'invalid_response',
      message: 'The answer is not a JSON object of the Chat Completions format.',
      retryable: true,
    }
    return finishTurn(state)
  }
  foldChunk(state, answer)
  return finishTurn(state)
}

function readChunk(state: OpenaiState, event: string, data: string): JsonObject | null {
  const text = data.trim()
  if (text === '' || text === '[DONE]') return null
  const parsed = parseJson(data)
  if (parsed === undefined) {
    const message = `A chunk is not valid JSON: ${jsonProblem(data)}`
    // Named events are additions of a server (keep-alives and the like); chunks have no name.
    if (event === 'message' || event === 'error') state.error = { type: 'invalid_event', message, retryable: true }
    return null
  }
  return asObject(parsed)
}

/** Folds one chunk; gives its content when it held nothing else that counts. */
function foldChunk(state: OpenaiState, chunk: JsonObject): string | null {
  const error = chunk['error']
  if (error !== undefined && error !== null) {
    foldError(state, error)
    return null
  }
  state.model ??= asText(chunk['model'])
  state.answerId ??= asText(chunk['id'])
  const usage = asObject(chunk['usage'])
  if (usage !== null) state.usage = openaiUsage(usage)
  const choice = asObject(asArray(chunk['choices'])[0])
  if (choice === null || (choice['index'] ?? 0) !== 0) return null
  const delta = asObject(choice['delta']) ?? asObject(choice['message'])
  const other = delta !== null && foldOther(state, delta)
  const content = delta === null ? '' : contentText(delta['content'])
  if (content !== '') addText(state, content)
  const finish = asText(choice['finish_reason'])
  if (finish !== null) state.finishReason = finish
  return content === '' || other || finish !== null || usage !== null ? null : content
}

/** Reasoning, refusal and tool calls of a delta; true when there was any. */
function foldOther(state: OpenaiState, delta: JsonObject): boolean {
  let found = false
  for (const field of ['reasoning_content', 'reasoning']) {
    const reasoning = asText(delta[field])
    if (reasoning === null || (state.reasoningField !== null && state.reasoningField !== field)) continue
    state.reasoningField = field
    state.reasoning.add(reasoning)
    state.onDelta?.({ type: 'reasoning', text: reasoning })
    found = true
  }
  const refusal = asText(delta['refusal'])
  if (refusal !== null) {
    state.refused = true
    addText(state, refusal)
    found = true
  }
  const calls = delta['tool_calls']
  if (calls === undefined || calls === null) return found
  for (const call of addCallFragments(state.calls, calls)) state.onDelta?.({ type: 'tool_call', name: call.name ?? '' })
  return true
}

/** Content is text; some servers send a list of parts, of which the text ones are shown. */
function contentText(content: Json | undefined): string {
  if (typeof content === 'string') return content
  return asArray(content)
    .map((part) => asText(asObject(part)?.['text']) ?? '')
    .join('')
}

function addText(state: OpenaiState, text: string): void {
  if (text === '') return
  state.text.add(text)
  state.onDelta?.({ type: 'text', text })
}

function foldError(state: OpenaiState, value: Json): void {
  const error = asObject(value)
  const given = error?.['code']
  const code = typeof given === 'number' ? String(given) : asText(given)
  const type = asText(error?.['type']) ?? code ?? 'unknown_error'
  const message = asText(error?.['message']) ?? asText(value) ?? 'The server ended the stream with an error that has no message.'
  state.error = { type, message, retryable: isRetryableOpenaiError(`${type} ${code ?? ''}`) }
}

function finishTurn(state: OpenaiState): AssistantTurn {
  const finished = state.finishReason !== null && state.error === null
  const suffix = state.answerId === null ? '' : `_${state.answerId.replaceAll(/[^a-zA-Z0-9]/g, '').slice(-16)}`
  const ended = finishCalls(state.calls, {
    finished,
    truncated: state.finishReason === 'length',
    idOf: (position) => `call_${position}${suffix}`,
  })
  const calls = ended.flatMap((end) => (end.kind === 'call' ? [end] : []))
  const text = state.text.text()
  const reasoning = state.reasoning.text()
  const blocks: TurnBlock[] = []
  if (reasoning !== '') blocks.push({ type: 'reasoning', text: reasoning })
  if (text !== '') blocks.push({ type: 'text', text })
  for (const { call } of calls) blocks.push({ type: 'tool_call', call })
  const stopReason = state.finishReason === null ? null : openaiStopReason(state.finishReason, calls.length)
  return {
    blocks,
    tool_calls: calls.map(({ call }) => call),
    partial_calls: ended.flatMap((end) => (end.kind === 'partial' ? [end.partial] : [])),
    usage: state.usage,
    stop_reason: state.refused ? 'refusal' : stopReason,
    clean_finish: finished,
    raw: rawMessage({ text, reasoning, reasoningField: state.reasoningField, calls }),
    model: state.model,
    error: state.error,
  }
}

interface RawParts {
  readonly text: string
  readonly reasoning: string
  readonly reasoningField: string | null
  readonly calls: readonly { readonly call: { readonly id: string; readonly name: string }; readonly argumentsText: string }[]
}

/**
 * The message as it goes back. Reasoning returns only with tool calls: the servers that want it back want it there, and some
 * refuse it elsewhere.
 */
function rawMessage({ text, reasoning, reasoningField, calls }: RawParts): JsonObject {
  if (calls.length === 0) return { role: 'assistant', content: text }
  const toolCalls = calls.map(({ call: { id, name }, argumentsText }) => ({
    id,
    type: 'function',
    function: { name, arguments: argumentsText },
  }))
  const message = { role: 'assistant', content: text === '' ? null : text, tool_calls: toolCalls }
  return reasoningField === null ? message : { ...message, [reasoningField]: reasoning }
}
