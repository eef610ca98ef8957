import { anthropicStream, openaiChunk, openaiStream } from './folded-bytes.ts'

const started = {
  type: 'message_start',
  message: {
    id: 'msg_01',
    type: 'message',
    role: 'assistant',
    model: 'claude-sonnet-5',
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: {
      input_tokens: 12,
      cache_creation_input_tokens: 300,
      cache_read_input_tokens: 2000,
      cache_creation: { ephemeral_5m_input_tokens: 250, ephemeral_1h_input_tokens: 50 },
      output_tokens: 2,
    },
  },
}
const text = (index: number, value: string) => ({
  type: 'content_block_delta',
  index,
  delta: { type: 'text_delta', text: value },
})
const json = (index: number, value: string) => ({
  type: 'content_block_delta',
  index,
  delta: { type: 'input_json_delta', partial_json: value },
})
const stop = (index: number) => ({ type: 'content_block_stop', index })
const useTool = (index: number, id: string, name: string) => ({
  type: 'content_block_start',
  index,
  content_block: { type: 'tool_use', id, name, input: {} },
})
const ended = (reason: string, outputTokens: number) => [
  { type: 'message_delta', delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: outputTokens } },
  { type: 'message_stop' },
]

/** Thinking with its signature, text with escapes and characters of two, three and four bytes, and two parallel calls, one without input. */
export const anthropicWhole: string = anthropicStream(
  started,
  { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
  { type: 'ping' },
  { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'The user wants "ä" and ' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'two tools.\n' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'EqQBCgIYAhIM+/==' } },
  stop(0),
  { type: 'content_block_start', index: 1, content_block: { type: 'redacted_thinking', data: 'EmwKAhgBEgy3va3pzix/LafPsn4a' } },
  stop(1),
  { type: 'content_block_start', index: 2, content_block: { type: 'text', text: '' } },
  text(2, 'Größe: 3 €, '),
  text(2, 'a "quote", a \\ and 🥝\n'),
  stop(2),
  useTool(3, 'toolu_01', 'read_file'),
  json(3, ''),
  json(3, '{"path": "sr'),
  json(3, 'c/ä.ts", "lines"'),
  json(3, ': [1, 2]}'),
  stop(3),
  useTool(4, 'toolu_02', 'list_files'),
  stop(4),
  ...ended('tool_use', 88),
)

/** One closed call, then one that is cut in its arguments. */
export const anthropicCut: string = anthropicStream(
  started,
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  text(0, 'Two calls'),
  stop(0),
  useTool(1, 'toolu_a', 'first_tool'),
  json(1, '{"n":1}'),
  stop(1),
  useTool(2, 'toolu_b', 'second_tool'),
  json(2, '{"path":"half'),
)

/** Overloaded in the middle: an error event inside a 200, and noise behind it. */
export const anthropicOverloaded: string = anthropicStream(
  started,
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  text(0, 'Partial '),
  { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
  text(0, 'not this'),
)

/** Parallel calls by index, text before them, usage in the last chunk. */
export const openaiWhole: string = openaiStream(
  openaiChunk({ role: 'assistant', content: '', refusal: null }),
  openaiChunk({ content: 'Größe 🥝 ' }),
  openaiChunk({ content: 'is "3"\n' }),
  openaiChunk({ content: 'and more' }),
  openaiChunk({ tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name: 'read_file', arguments: '' } }] }),
  openaiChunk({ tool_calls: [{ index: 0, function: { arguments: '{"path":' } }] }),
  openaiChunk({ tool_calls: [{ index: 0, function: { arguments: '"a}b"}' } }] }),
  openaiChunk({ tool_calls: [{ index: 1, id: 'call_b', type: 'function', function: { name: 'list_files', arguments: '' } }] }),
  openaiChunk({}, 'tool_calls'),
  {
    id: 'chatcmpl-B1',
    object: 'chat.completion.chunk',
    model: 'gpt-5',
    choices: [],
    usage: {
      prompt_tokens: 1500,
      completion_tokens: 60,
      total_tokens: 1560,
      prompt_tokens_details: { cached_tokens: 1024 },
      completion_tokens_details: { reasoning_tokens: 40 },
    },
  },
)

/** Everything that both wires must read the same however its bytes are cut. */
export const recordedStreams: readonly {
  readonly name: string
  readonly wire: 'anthropic_messages' | 'openai_chat'
  readonly text: string
}[] = [
  { name: 'a whole Anthropic answer', wire: 'anthropic_messages', text: anthropicWhole },
  { name: 'a cut Anthropic answer', wire: 'anthropic_messages', text: anthropicCut },
  { name: 'an overloaded Anthropic answer', wire: 'anthropic_messages', text: anthropicOverloaded },
  {
    name: 'a whole Anthropic answer with CRLF line ends',
    wire: 'anthropic_messages',
    text: anthropicWhole.replaceAll('\n', '\r\n'),
  },
  { name: 'a whole OpenAI answer', wire: 'openai_chat', text: openaiWhole },
]
