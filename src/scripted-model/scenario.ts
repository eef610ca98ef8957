import type { Json, JsonObject } from '../json.ts'
import type { Conversation } from './conversation.ts'

/** What the model says. Every field is optional; an empty reply is an empty answer. */
export interface Reply {
  readonly reasoning?: string
  readonly text?: string
  readonly tool_calls?: readonly ScriptedCall[]
  /** Replaces computed counters; named like the neutral classes, not like a provider's. */
  readonly usage?: Partial<ScriptedUsage>
  /** Default: `tool_use` with calls, else `end_turn`. */
  readonly stop_reason?: 'end_turn' | 'tool_use' | 'max_tokens' | 'refusal'
  /** Wait between two pieces of the stream. Default 0: the whole answer in one write. */
  readonly delay_ms?: number
  /** Characters in one piece. Default 24. */
  readonly piece_chars?: number
}

export interface ScriptedCall {
  readonly name: string
  readonly arguments?: Json
  /** Sent as they are instead of `arguments`, for answers that are not valid JSON. */
  readonly raw_arguments?: string
}

/** Disjoint token classes. */
export interface ScriptedUsage {
  readonly input: number
  readonly cache_read: number
  readonly cache_write: number
  readonly output: number
  readonly reasoning: number
}

/** What goes wrong. `times`: with the first so many matches of its rule only; absent is every time. Events count from the first one. */
export type Fault = { readonly times?: number } & (
  | { readonly kind: 'status'; readonly status: number; readonly retry_after_seconds?: number; readonly message?: string }
  /** An error event inside a 200. */
  | { readonly kind: 'error_event'; readonly after_events: number; readonly error_type?: string }
  /** The connection is destroyed. */
  | { readonly kind: 'cut'; readonly after_events?: number; readonly after_bytes?: number }
  /** Nothing more comes, and the connection stays open. */
  | { readonly kind: 'stall'; readonly after_events: number }
  /** Bytes that are no event of the format, and no UTF-8, in the middle of the stream. */
  | { readonly kind: 'garbage'; readonly after_events: number }
  | { readonly kind: 'slow_first_byte'; readonly delay_ms: number }
)

/** All conditions must hold; an absent one always does. */
export interface When {
  /** The conversation is that of a thread that runs this directive. */
  readonly directive?: string
  /** Assistant messages so far + 1, or a range of it. */
  readonly turn?: number | { readonly from?: number; readonly to?: number }
  /** The last user text contains this, in any case. */
  readonly user_contains?: string
  /** The last user text matches this pattern, in which `*` is any text. */
  readonly user_matches?: string
  /** The newest tool result is of this tool (or, for `execute`, of this item). */
  readonly last_result?: string
  /** Whether the newest tool result is an error. */
  readonly last_result_error?: boolean
  readonly model?: string
  readonly system_contains?: string
}

export interface Rule {
  readonly name: string
  readonly when: When
  /** The rule is used at most so often, over all conversations; then the next one that matches is. */
  readonly times?: number
  readonly fault?: Fault
  readonly reply: Reply
}

export interface Scenario {
  readonly name: string
  /** Tried in order. */
  readonly rules: readonly Rule[]
}

/** A scenario as code, for tests: asked once for each request. */
export type ScenarioFunction = (
  conversation: Conversation,
  request: { readonly seq: number; readonly body: JsonObject },
) => { readonly reply?: Reply; readonly fault?: Fault }
