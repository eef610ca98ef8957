/** Bytes of model answers, rendered once; the same for every contender. */

export type BenchWire = 'anthropic' | 'openai'

/** What a stream of `deltas` text deltas must fold to, so that no contender is fast by skipping work. */
export interface Expected {
  readonly textLength: number
}

/** The n-th delta: 5 to 14 characters, with an escape and a non-ASCII character now and then, as real text has. */
function deltaText(index: number): string {
  if (index % 53 === 0) return '\n"quoted" '
  if (index % 31 === 0) return 'naïve — '
  return `word${index % 10_000} `
}

export function expectedOf(deltas: number): Expected {
  let textLength = 0
  for (let index = 0; index < deltas; index += 1) textLength += deltaText(index).length
  return { textLength }
}

interface ToolUse {
  readonly id: string
  readonly name: string
  readonly argumentFragments: readonly string[]
}

/** One answer: `deltas` pieces of text, then at most one tool call. */
export function renderAnswer(wire: BenchWire, deltas: number, tool: ToolUse | null): Buffer {
  const lines = wire === 'anthropic' ? anthropicEvents(deltas, tool) : openaiEvents(deltas, tool)
  return Buffer.from(lines.join(''))
}

/** Unique in a conversation: some clients replace a message that has the id of an earlier one. */
function idOf(tool: ToolUse | null): string {
  return tool === null ? 'bench_final' : `bench_${tool.id}`
}

function anthropicEvents(deltas: number, tool: ToolUse | null): readonly string[] {
  const out: string[] = []
  const emit = (type: string, body: object): void =>
    void out.push(`event: ${type}\ndata: ${JSON.stringify({ type, ...body })}\n\n`)
  const usage = { input_tokens: 1200, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 1 }
  const message = {
    id: `msg_${idOf(tool)}`,
    type: 'message',
    role: 'assistant',
    model: 'bench',
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage,
  }
  emit('message_start', { message })
  emit('content_block_start', { index: 0, content_block: { type: 'text', text: '' } })
  for (let index = 0; index < deltas; index += 1)
    emit('content_block_delta', { index: 0, delta: { type: 'text_delta', text: deltaText(index) } })
  emit('content_block_stop', { index: 0 })
  if (tool !== null) {
    emit('content_block_start', { index: 1, content_block: { type: 'tool_use', id: tool.id, name: tool.name, input: {} } })
    for (const partial_json of tool.argumentFragments)
      emit('content_block_delta', { index: 1, delta: { type: 'input_json_delta', partial_json } })
    emit('content_block_stop', { index: 1 })
  }
  const stop_reason = tool === null ? 'end_turn' : 'tool_use'
  emit('message_delta', { delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: Math.max(1, deltas) } })
  emit('message_stop', {})
  return out
}

function openaiEvents(deltas: number, tool: ToolUse | null): readonly string[] {
  const out: string[] = []
  const head = {
    id: `chatcmpl-${idOf(tool)}`,
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'bench',
    system_fingerprint: 'fp_bench',
  }
  const emit = (body: object): void => void out.push(`data: ${JSON.stringify({ ...head, ...body })}\n\n`)
  const choice = (delta: object, finish_reason: string | null = null): void =>
    emit({ choices: [{ index: 0, delta, logprobs: null, finish_reason }], usage: null })
  choice({ role: 'assistant', content: '', refusal: null })
  for (let index = 0; index < deltas; index += 1) choice({ content: deltaText(index) })
  if (tool !== null) {
    choice({ tool_calls: [{ index: 0, id: tool.id, type: 'function', function: { name: tool.name, arguments: '' } }] })
    for (const fragment of tool.argumentFragments) choice({ tool_calls: [{ index: 0, function: { arguments: fragment } }] })
  }
  choice({}, tool === null ? 'stop' : 'tool_calls')
  const completion = Math.max(1, deltas)
  const usage = { prompt_tokens: 1200, completion_tokens: completion, total_tokens: 1200 + completion }
  emit({ choices: [], usage })
  out.push('data: [DONE]\n\n')
  return out
}
