import type { Json, JsonObject } from '../../../json.ts'
import type { PartialCall, TurnBlock } from '../conversation.ts'
import { closeArguments } from './tool-arguments.ts'
import { createTextPieces } from './text-pieces.ts'
import type { TextPieces } from './text-pieces.ts'
import { asArray, asObject, asText, jsonProblem, parseJson } from './untrusted-json.ts'

/** One content block while it is being received. Fragments are kept as they came and joined once, at the end. */
export interface OpenBlock {
  readonly index: number
  /** `content_block` as the start event gave it; other fields than the streamed ones are replayed unchanged. */
  readonly start: JsonObject
  readonly type: string
  readonly text: TextPieces
  readonly json: TextPieces
  readonly citations: Json[]
  signature: string
  closed: boolean
}

/** A block as it is when its start event has arrived. */
export function openBlock(index: number, start: JsonObject): OpenBlock {
  const type = asText(start['type']) ?? 'unknown'
  const initial = asText(type === 'thinking' ? start['thinking'] : start['text'])
  const text = createTextPieces()
  if (initial !== null) text.add(initial)
  return {
    index,
    start,
    type,
    text,
    json: createTextPieces(),
    citations: [...asArray(start['citations'])],
    signature: asText(start['signature']) ?? '',
    closed: false,
  }
}

/** A received block in the normalised view and for replay; `raw` is null where the provider would refuse it back. */
export interface FinishedBlock {
  readonly view: TurnBlock | null
  readonly partial: PartialCall | null
  readonly raw: Json
}

/** `truncated` says that the output limit ended the answer: a closed call whose JSON is broken was then cut, not written wrongly. */
export function finishBlock(block: OpenBlock, truncated: boolean): FinishedBlock {
  switch (block.type) {
    case 'text':
      return finishText(block)
    case 'thinking':
      return finishThinking(block)
    case 'tool_use':
      return finishToolUse(block, truncated)
    default:
      return { view: null, partial: null, raw: finishOther(block) }
  }
}

function finishText(block: OpenBlock): FinishedBlock {
  const text = block.text.text()
  // The provider sends empty text blocks and refuses them back.
  if (text === '') return { view: null, partial: null, raw: null }
  const raw = { ...block.start, text, ...(block.citations.length > 0 ? { citations: block.citations } : {}) }
  return { view: { type: 'text', text }, partial: null, raw }
}

/** Thinking is replayed only with its signature: without one, or cut short, the provider refuses the request. */
function finishThinking(block: OpenBlock): FinishedBlock {
  const thinking = block.text.text()
  const replayable = block.closed && block.signature !== ''
  const raw = replayable ? { ...block.start, thinking, signature: block.signature } : null
  return { view: thinking === '' ? null : { type: 'reasoning', text: thinking }, partial: null, raw }
}

function finishToolUse(block: OpenBlock, truncated: boolean): FinishedBlock {
  const given = asObject(block.start['input'])
  const streamed = block.json.text()
  // Imitators send the whole input in the start event.
  const text = streamed === '' && given !== null && Object.keys(given).length > 0 ? JSON.stringify(given) : streamed
  const id = asText(block.start['id']) ?? `call_${block.index}`
  const name = asText(block.start['name'])
  const closed = closeArguments(text)
  if (!block.closed || name === null || (truncated && closed.invalid !== null)) {
    const jsonParseError = text === '' ? null : jsonProblem(text)
    return { view: null, partial: { id, name, bytesCollected: Buffer.byteLength(text), jsonParseError }, raw: null }
  }
  const call = { id, name, arguments: closed.value, ...(closed.invalid === null ? {} : { invalid: closed.invalid }) }
  return { view: { type: 'tool_call', call }, partial: null, raw: { ...block.start, id, name, input: closed.value } }
}

/** Blocks that this wire does not interpret (redacted thinking, server tools, …) go back as they came, or not at all when cut. */
function finishOther(block: OpenBlock): Json {
  if (!block.closed) return null
  const fields: Record<string, Json> = {}
  const json = block.json.text()
  const input = json === '' ? undefined : parseJson(json)
  if (input !== undefined) fields['input'] = input
  return { ...block.start, ...fields }
}
