import type { StreamEvent } from '../../../primitives/http-client/contract.ts'
import type { JsonObject } from '../../../json.ts'
import type { AssistantTurn, Message, ToolSpec, WireName } from '../conversation.ts'

export interface ModelRequest {
  readonly model: string
  readonly system: string
  /** Tool results may stand in any order behind their assistant message; the wire puts them in call order. */
  readonly messages: readonly Message[]
  readonly tools: readonly ToolSpec[]
  readonly maxOutputTokens: number
}

/** What a harness shows while a turn is still streaming. Lossy by nature; the turn itself is the truth. */
export type LiveDelta =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'reasoning'; readonly text: string }
  | { readonly type: 'tool_call'; readonly name: string }

/** Folds the events of one stream into one turn. `push` never throws on what a server sent. */
export interface Fold {
  push(event: StreamEvent): void
  /** Valid at any time, also after a cut; call it once when the stream has ended. */
  finish(): AssistantTurn
}

/** One provider format: how a request is written and how a stream is read. */
export interface Wire {
  readonly name: WireName
  /** Parameters of the LLM tool (`anthropic_messages`, `openai_chat`): the body fields, prompt-cache marks included. */
  buildParameters(request: ModelRequest): JsonObject
  createFold(onDelta?: (delta: LiveDelta) => void): Fold
  /** Folds a non-streamed response body. */
  foldBody(body: unknown): AssistantTurn
}
