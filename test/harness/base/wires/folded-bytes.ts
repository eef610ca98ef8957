import { createSseParser } from '../../../../src/primitives/http-client/sse.ts'
import type { AssistantTurn } from '../../../../src/harness/base/conversation.ts'
import type { LiveDelta, Wire } from '../../../../src/harness/base/wires/wire.ts'

/** Folds a byte stream through the real SSE parser, which gets it in these pieces. */
export function foldPieces(wire: Wire, pieces: readonly Buffer[], onDelta?: (delta: LiveDelta) => void): AssistantTurn {
  const fold = wire.createFold(onDelta)
  const parser = createSseParser({ maxEventBytes: 1024 * 1024, onEvent: (event) => fold.push(event) })
  for (const piece of pieces) {
    parser.push(piece)
    while (parser.drain(1000) === 'more');
  }
  parser.finish()
  return fold.finish()
}

/** Folds a whole stream given as text. */
export function foldText(wire: Wire, text: string, onDelta?: (delta: LiveDelta) => void): AssistantTurn {
  return foldPieces(wire, [Buffer.from(text)], onDelta)
}

/** One Anthropic event. */
export interface StreamedEvent {
  readonly type: string
  readonly [field: string]: unknown
}

/** Anthropic events as their stream: the event name is the data's type. */
export function anthropicStream(...events: readonly StreamedEvent[]): string {
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')
}

/** OpenAI chunks as their stream, with the end marker. */
export function openaiStream(...chunks: readonly unknown[]): string {
  return `${chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('')}data: [DONE]\n\n`
}

/** One chunk with this delta. */
export function openaiChunk(delta: unknown, finishReason: string | null = null): { readonly [field: string]: unknown } {
  return {
    id: 'chatcmpl-B1',
    object: 'chat.completion.chunk',
    created: 1_760_000_000,
    model: 'gpt-5',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
  }
}
