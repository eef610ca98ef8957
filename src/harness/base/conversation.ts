import type { Json, JsonObject } from '../../json.ts'

/**
 * Disjoint token classes of one model call: no token is in two of them, and their sum is what was billed.
 * Providers report overlapping counters; each wire maps them by a tested rule.
 */
export interface Usage {
  readonly input_uncached: number
  readonly cache_read: number
  readonly cache_write_5m: number
  readonly cache_write_1h: number
  /** Visible output, without `reasoning`. */
  readonly output: number
  readonly reasoning: number
}

export interface ToolCall {
  readonly id: string
  readonly name: string
  /** Parsed once, when the call was complete. A call whose arguments are not a JSON object carries `invalid` and is answered with an error. */
  readonly arguments: JsonObject
  readonly invalid?: string
}

/** A tool call whose arguments had not ended when the stream did. Never repaired, never run. */
export interface PartialCall {
  readonly id: string | null
  readonly name: string | null
  readonly bytesCollected: number
  readonly jsonParseError: string | null
}

export type TurnBlock =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'reasoning'; readonly text: string }
  | { readonly type: 'tool_call'; readonly call: ToolCall }

export type StopReason =
  | 'end_turn'
  | 'tool_use'
  | 'max_tokens'
  | 'stop_sequence'
  | 'refusal'
  | 'pause_turn'
  | 'context_exceeded'
  | 'unknown'

/** One model answer, folded from its stream. */
export interface AssistantTurn {
  readonly blocks: readonly TurnBlock[]
  readonly tool_calls: readonly ToolCall[]
  readonly partial_calls: readonly PartialCall[]
  /** Null when the stream ended before any usage was reported. */
  readonly usage: Usage | null
  readonly stop_reason: StopReason | null
  /** True only when the provider's own end marker arrived. */
  readonly clean_finish: boolean
  /** Provider blocks, byte-exact, for replay in the next request of the same wire. */
  readonly raw: Json
  readonly model: string | null
  /** An `error` event inside a 200. */
  readonly error: { readonly type: string; readonly message: string; readonly retryable: boolean } | null
}

export type WireName = 'anthropic_messages' | 'openai_chat'

/** The conversation as the harness keeps it; each wire turns it into its own request. */
export type Message =
  | { readonly role: 'user'; readonly content: string }
  /** A system message inside the conversation: sent as a marked user block after the tool results. */
  | { readonly role: 'system_note'; readonly content: string }
  | { readonly role: 'assistant'; readonly wire: WireName; readonly blocks: readonly TurnBlock[]; readonly raw: Json }
  | {
      readonly role: 'tool_result'
      readonly call_id: string
      readonly tool: string
      readonly content: string
      readonly is_error: boolean
    }

/** A tool as the model sees it. */
export interface ToolSpec {
  readonly name: string
  readonly description: string
  readonly input_schema: JsonObject
}
