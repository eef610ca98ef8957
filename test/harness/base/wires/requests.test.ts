import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message, ToolCall, ToolSpec } from '../../../../src/harness/base/conversation.ts'
import { anthropicMessages } from '../../../../src/harness/base/wires/anthropic-messages.ts'
import { openaiChat } from '../../../../src/harness/base/wires/openai-chat.ts'
import { wireByName } from '../../../../src/harness/base/wires/known-wires.ts'

const tool: ToolSpec = { name: 'read_file', description: 'Reads.', input_schema: { type: 'object', properties: {} } }
const toolCall = (id: string): ToolCall => ({ id, name: 'read_file', arguments: { id } })
const useBlock = (id: string) => ({ type: 'tool_use', id, name: 'read_file', input: { id } })
const result = (callId: string, content = `result of ${callId}`, isError = false): Message => {
  return { role: 'tool_result', call_id: callId, tool: 'read_file', content, is_error: isError }
}
const anthropicAnswer = (...ids: readonly string[]): Message => ({
  role: 'assistant',
  wire: 'anthropic_messages',
  blocks: [{ type: 'reasoning', text: 'hm' }, ...ids.map((id) => ({ type: 'tool_call', call: toolCall(id) }) as const)],
  raw: [{ type: 'thinking', thinking: 'hm', signature: 'sig' }, ...ids.map(useBlock)],
})
const anthropic = (messages: readonly Message[], tools: readonly ToolSpec[] = [tool], system = 'Be brief.') => {
  return anthropicMessages.buildParameters({ model: 'm', system, messages, tools, maxOutputTokens: 100 })
}
const openai = (messages: readonly Message[], system = 'Be brief.') => {
  return openaiChat.buildParameters({ model: 'm', system, messages, tools: [tool], maxOutputTokens: 100 })
}
const MARK = { cache_control: { type: 'ephemeral' } }

test('results in any order go back in call order, in one user message, before notes and texts', () => {
  const messages: Message[] = [
    { role: 'user', content: 'Go' },
    anthropicAnswer('a', 'b'),
    { role: 'system_note', content: 'Half the budget is spent.' },
    result('b'),
    { role: 'user', content: 'Hurry' },
    result('a', 'failed', true),
  ]
  const sent = anthropic(messages)['messages']
  assert.deepEqual(sent, [
    { role: 'user', content: [{ type: 'text', text: 'Go', ...MARK }] },
    { role: 'assistant', content: [{ type: 'thinking', thinking: 'hm', signature: 'sig' }, useBlock('a'), useBlock('b')] },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: 'a', content: 'failed', is_error: true },
        { type: 'tool_result', tool_use_id: 'b', content: 'result of b' },
        { type: 'text', text: '<system_note>\nHalf the budget is spent.\n</system_note>' },
        { type: 'text', text: 'Hurry', ...MARK },
      ],
    },
  ])
})

test('a call without a result gets an error that says so, a second or stray result is left out', () => {
  const messages: Message[] = [
    { role: 'user', content: 'Go' },
    anthropicAnswer('a', 'b'),
    result('b'),
    result('b', 'again'),
    result('stray'),
  ]
  const sent = JSON.stringify(anthropic(messages)['messages'])
  assert.match(sent, /"tool_use_id":"a","content":"No result of this call was recorded[^"]*","is_error":true/)
  assert.equal(sent.split('"tool_use_id":"b"').length, 2)
  assert.equal(sent.includes('again') || sent.includes('stray'), false)
})

test('an assistant message with nothing to send is left out and its neighbours become one user message', () => {
  const empty: Message = { role: 'assistant', wire: 'anthropic_messages', blocks: [{ type: 'reasoning', text: 'cut' }], raw: [] }
  const sent = anthropic([{ role: 'user', content: 'One' }, empty, { role: 'user', content: 'Two' }])['messages']
  assert.deepEqual(sent, [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'One' },
        { type: 'text', text: 'Two', ...MARK },
      ],
    },
  ])
})

test('the system prompt and the last two user messages carry the cache marks, and nothing else', () => {
  const messages: Message[] = [
    { role: 'user', content: 'Go' },
    anthropicAnswer('a'),
    result('a'),
    anthropicAnswer('b'),
    result('b'),
  ]
  const parameters = anthropic(messages)
  assert.deepEqual(parameters['system'], [{ type: 'text', text: 'Be brief.', ...MARK }])
  assert.equal(JSON.stringify(parameters).split('"cache_control"').length - 1, 3)
  assert.equal(JSON.stringify((parameters['messages'] as readonly unknown[])[0]).includes('cache_control'), false)
})

test('without a system prompt the last tool carries the mark, without tools the key is absent', () => {
  assert.deepEqual(anthropic([{ role: 'user', content: 'Go' }], [tool], '')['tools'], [{ ...tool, ...MARK }])
  assert.equal('tools' in anthropic([{ role: 'user', content: 'Go' }], []), false)
})

test('message contents are passed by reference, never copied', () => {
  const answer = anthropicAnswer('a')
  const sent = anthropic([{ role: 'user', content: 'Go' }, answer, result('a')])['messages'] as readonly {
    readonly content: unknown
  }[]
  assert.equal(answer.role === 'assistant' && sent[1]?.content === answer.raw, true)
})

test('an answer of the other wire is rewritten from its blocks, without reasoning, with ids that are accepted', () => {
  const blocks = [
    { type: 'reasoning', text: 'secret' },
    { type: 'text', text: 'Reading.' },
    { type: 'tool_call', call: toolCall('functions.read:0') },
  ] as const
  const messages: Message[] = [
    { role: 'user', content: 'Go' },
    { role: 'assistant', wire: 'openai_chat', blocks, raw: {} },
    result('functions.read:0'),
  ]
  const sent = JSON.stringify(anthropic(messages)['messages'])
  assert.equal(sent.includes('secret'), false)
  assert.match(sent, /"type":"text","text":"Reading."/)
  assert.match(sent, /"id":"functions_read_0"/)
  assert.match(sent, /"tool_use_id":"functions_read_0"/)
})

test('OpenAI messages: system first, replayed answer, tool messages in call order, one user message', () => {
  const raw = { role: 'assistant', content: null, tool_calls: [{ id: 'a' }, { id: 'b' }] }
  const blocks = ['a', 'b'].map((id) => ({ type: 'tool_call', call: toolCall(id) }) as const)
  const messages: Message[] = [
    { role: 'user', content: 'Go' },
    { role: 'assistant', wire: 'openai_chat', blocks, raw },
    result('b'),
    { role: 'system_note', content: 'Note' },
    { role: 'user', content: 'Hurry' },
    result('a'),
  ]
  const parameters = openai(messages)
  assert.deepEqual(parameters['messages'], [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Go' },
    raw,
    { role: 'tool', tool_call_id: 'a', content: 'result of a' },
    { role: 'tool', tool_call_id: 'b', content: 'result of b' },
    { role: 'user', content: '<system_note>\nNote\n</system_note>\n\nHurry' },
  ])
  assert.deepEqual(parameters['tools'], [
    { type: 'function', function: { name: 'read_file', description: 'Reads.', parameters: tool.input_schema } },
  ])
  assert.deepEqual([parameters['max_completion_tokens'], parameters['stream_options']], [100, { include_usage: true }])
})

test('an Anthropic answer goes to OpenAI as text and tool calls', () => {
  const sent = openai([{ role: 'user', content: 'Go' }, anthropicAnswer('toolu_1'), result('toolu_1')], '')[
    'messages'
  ] as readonly unknown[]
  const fn = { name: 'read_file', arguments: '{"id":"toolu_1"}' }
  assert.deepEqual(sent[1], { role: 'assistant', content: null, tool_calls: [{ id: 'toolu_1', type: 'function', function: fn }] })
})

test('a tool name that providers refuse, or one given twice, is refused before anything is sent', () => {
  assert.throws(() => anthropic([], [{ ...tool, name: 'files.read' }]), /Expected a tool name of 1 to 64 letters.*"files\.read"/)
  assert.throws(() => anthropic([], [tool, { ...tool }]), /"read_file" twice/)
})

test('an unknown wire name is refused with the known ones', () => {
  assert.throws(() => wireByName('gemini'), /anthropic_messages, openai_chat, got "gemini"/)
})
