import type { Json } from '../json.ts'
import type { Conversation } from './conversation.ts'
import { countTokens } from './prompt-cache.ts'
import type { Reply, ScriptedCall } from './scenario.ts'

/** One part of an answer, cut into the pieces in which it is streamed. */
export type OutputPart =
  | { readonly kind: 'reasoning' | 'text'; readonly pieces: readonly string[] }
  | { readonly kind: 'call'; readonly id: string; readonly name: string; readonly pieces: readonly string[] }

/** A reply as it goes out, cut where the request's output limit ends it. */
export interface OutputPlan {
  readonly parts: readonly OutputPart[]
  readonly stop: 'end_turn' | 'tool_use' | 'max_tokens' | 'refusal'
  readonly visibleTokens: number
  readonly reasoningTokens: number
}

const DEFAULT_PIECE_CHARS = 24
/** An answer costs something even when it is empty, as it does with a real model. */
const MINIMUM_TOKENS = 1

/** `callId` makes the id of the call at a position. */
export function planOutput(reply: Reply, conversation: Conversation, callId: (position: number) => string): OutputPlan {
  const chars = reply.piece_chars ?? DEFAULT_PIECE_CHARS
  const parts: OutputPart[] = []
  let left = conversation.maxTokens
  let reasoningTokens = 0
  let visibleTokens = 0
  const take = (text: string): string => {
    const taken = countTokens(text) <= left ? text : cutToTokens(text, left)
    left -= countTokens(taken)
    return taken
  }
  if (reply.reasoning !== undefined) {
    const text = take(reply.reasoning)
    reasoningTokens = countTokens(text)
    parts.push({ kind: 'reasoning', pieces: cutPieces(text, chars) })
  }
  const wanted = [...(reply.text === undefined ? [] : [reply.text]), ...(reply.tool_calls ?? [])]
  let truncated = reply.reasoning !== undefined && countTokens(reply.reasoning) > reasoningTokens
  let calls = 0
  for (const part of wanted) {
    if (truncated || left <= 0) {
      truncated = true
      break
    }
    const whole = typeof part === 'string' ? part : argumentsText(part)
    const text = take(whole)
    truncated = text.length < whole.length
    visibleTokens += countTokens(text)
    const pieces = cutPieces(text, chars)
    if (typeof part === 'string') parts.push({ kind: 'text', pieces })
    else parts.push({ kind: 'call', id: callId(calls++), name: part.name, pieces })
  }
  const stop = truncated ? 'max_tokens' : (reply.stop_reason ?? (calls > 0 ? 'tool_use' : 'end_turn'))
  return { parts, stop, visibleTokens: Math.max(visibleTokens, MINIMUM_TOKENS), reasoningTokens }
}

function argumentsText(call: ScriptedCall): string {
  if (call.raw_arguments !== undefined) return call.raw_arguments
  const input: Json = call.arguments ?? {}
  return JSON.stringify(input)
}

function cutToTokens(text: string, tokens: number): string {
  // A character is at least one byte, so this many characters are never too few; then whole characters are dropped until it fits.
  let cut = text.slice(0, tokens * 4)
  while (countTokens(cut) > tokens) cut = cut.slice(0, -1)
  return cut
}

function cutPieces(text: string, chars: number): readonly string[] {
  const pieces: string[] = []
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + chars, text.length)
    // A surrogate pair in two pieces would be two broken characters.
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end += 1
    pieces.push(text.slice(at, end))
    at = end
  }
  return pieces
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}
