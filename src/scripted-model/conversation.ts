import type { Json, JsonObject } from '../json.ts'

/** One tool result of the conversation. */
export interface SeenResult {
  readonly callId: string
  readonly tool: string
  /** `item_id` of a call of `execute`, which is a tool that runs other tools. */
  readonly item: string | null
  readonly content: string
  readonly isError: boolean
}

/** A request as a scenario sees it, the same for both wires. */
export interface Conversation {
  readonly wire: 'anthropic_messages' | 'openai_chat'
  readonly model: string
  readonly system: string
  /** Assistant messages so far + 1. */
  readonly turn: number
  readonly messageCount: number
  readonly firstUserText: string
  readonly lastUserText: string
  readonly tools: readonly string[]
  readonly results: readonly SeenResult[]
  readonly maxTokens: number
  readonly stream: boolean
}

/** Name and item of the call that a result answers. */
export interface SeenCall {
  readonly tool: string
  readonly item: string | null
}

/** The names under which the result of a call is found. */
export function seenCall(name: string, input: Json | undefined): SeenCall {
  const item = isObject(input) ? input['item_id'] : undefined
  return { tool: name, item: name === 'execute' && typeof item === 'string' ? item : null }
}

/** Whether a JSON value is an object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The text of message content: a string, or the text parts of a list. */
export function contentText(content: Json | undefined): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.flatMap((part: Json) => (isObject(part) && typeof part['text'] === 'string' ? [part['text']] : [])).join('\n')
}

/** A string as it is, anything else as JSON. */
export function asText(value: Json | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}
