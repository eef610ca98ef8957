import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AssistantTurn } from '../../../../src/harness/base/conversation.ts'
import { openaiChat } from '../../../../src/harness/base/wires/openai-chat.ts'
import { foldText, openaiChunk, openaiStream } from './folded-bytes.ts'
import { openaiWhole } from './recorded-streams.ts'

const call = (fragment: { readonly [field: string]: unknown }) => openaiChunk({ tool_calls: [fragment] })
const fold = (...chunks: readonly unknown[]): AssistantTurn => foldText(openaiChat, openaiStream(...chunks))
const done = openaiChunk({}, 'tool_calls')
const shortCalls = (turn: AssistantTurn) => turn.tool_calls.map(({ name, arguments: input }) => [name, input])

test('a whole answer gives its text and calls, and is replayed with the exact argument text', () => {
  const turn = foldText(openaiChat, openaiWhole)
  assert.deepEqual(turn.blocks, [
    { type: 'text', text: 'Größe 🥝 is "3"\nand more' },
    { type: 'tool_call', call: { id: 'call_a', name: 'read_file', arguments: { path: 'a}b' } } },
    { type: 'tool_call', call: { id: 'call_b', name: 'list_files', arguments: {} } },
  ])
  assert.deepEqual(turn.raw, {
    role: 'assistant',
    content: 'Größe 🥝 is "3"\nand more',
    tool_calls: [
      { id: 'call_a', type: 'function', function: { name: 'read_file', arguments: '{"path":"a}b"}' } },
      { id: 'call_b', type: 'function', function: { name: 'list_files', arguments: '{}' } },
    ],
  })
  assert.deepEqual([turn.stop_reason, turn.clean_finish, turn.model], ['tool_use', true, 'gpt-5'])
})

test('cached and reasoning tokens are taken out of the counters that include them', () => {
  assert.deepEqual(foldText(openaiChat, openaiWhole).usage, {
    input_uncached: 476,
    cache_read: 1024,
    cache_write_5m: 0,
    cache_write_1h: 0,
    output: 20,
    reasoning: 40,
  })
})

test('reasoning that a server counts beside its output is not subtracted', () => {
  const usage = {
    prompt_tokens: 10,
    completion_tokens: 5,
    total_tokens: 115,
    completion_tokens_details: { reasoning_tokens: 100 },
  }
  const turn = fold(openaiChunk({ content: 'x' }, 'stop'), { choices: [], usage })
  assert.deepEqual([turn.usage?.output, turn.usage?.reasoning], [5, 100])
})

test('cache counters beside the details, and cache writes, are understood', () => {
  const deepseek = fold(openaiChunk({}, 'stop'), {
    choices: [],
    usage: { prompt_tokens: 100, completion_tokens: 1, prompt_cache_hit_tokens: 64 },
  })
  const details = { cached_tokens: 30, cache_write_tokens: 50 }
  const writing = fold(openaiChunk({}, 'stop'), {
    choices: [],
    usage: { prompt_tokens: 100, completion_tokens: 1, prompt_tokens_details: details },
  })
  assert.deepEqual([deepseek.usage?.input_uncached, deepseek.usage?.cache_read], [36, 64])
  assert.deepEqual([writing.usage?.input_uncached, writing.usage?.cache_read, writing.usage?.cache_write_5m], [20, 30, 50])
})

test('parallel calls that all come on index 0 are kept apart by their ids', () => {
  const turn = fold(
    call({ index: 0, id: 'a', function: { name: 'one', arguments: '{"n":1}' } }),
    call({ index: 0, id: 'b', function: { name: 'two', arguments: '{"n"' } }),
    call({ index: 0, id: 'b', function: { arguments: ':2}' } }),
    done,
  )
  assert.deepEqual(shortCalls(turn), [
    ['one', { n: 1 }],
    ['two', { n: 2 }],
  ])
})

test('calls without ids and with one index are cut where an object closes', () => {
  const turn = fold(
    call({ index: 0, function: { name: 'one', arguments: '{"a":"}"' } }),
    call({ index: 0, function: { arguments: '}' } }),
    call({ index: 0, function: { arguments: '' } }),
    call({ index: 0, function: { name: 'one', arguments: '{"b":{}}' } }),
    done,
  )
  assert.deepEqual(shortCalls(turn), [
    ['one', { a: '}' }],
    ['one', { b: {} }],
  ])
  assert.equal(new Set(turn.tool_calls.map(({ id }) => id)).size, 2)
})

test('whole calls without id and index, with the arguments as an object, are understood', () => {
  const turn = fold(
    call({ function: { name: 'one', arguments: { n: 1 } } }),
    call({ function: { name: 'two', arguments: {} } }),
    openaiChunk({}, 'stop'),
  )
  assert.deepEqual(shortCalls(turn), [
    ['one', { n: 1 }],
    ['two', {}],
  ])
  assert.equal(turn.stop_reason, 'tool_use')
})

test('a repeated id with a second whole object is a second call with an id of its own', () => {
  const turn = fold(
    call({ index: 0, id: 'x', function: { name: 'one', arguments: '{"n":1}' } }),
    call({ index: 0, id: 'x', function: { name: 'one', arguments: '{"n":2}' } }),
    done,
  )
  assert.deepEqual(shortCalls(turn), [
    ['one', { n: 1 }],
    ['one', { n: 2 }],
  ])
  assert.equal(new Set(turn.tool_calls.map(({ id }) => id)).size, 2)
})

test('an id and a name that are repeated with every fragment change nothing', () => {
  const turn = fold(
    call({ index: 0, id: 'x', function: { name: 'one', arguments: '{"n"' } }),
    call({ index: 0, id: 'x', function: { name: 'one', arguments: ':1}' } }),
    done,
  )
  assert.deepEqual(shortCalls(turn), [['one', { n: 1 }]])
})

test('a cut runs the calls whose objects had closed, and no others', () => {
  const text = openaiStream(
    call({ index: 0, id: 'a', function: { name: 'one', arguments: '{"n":1}' } }),
    call({ index: 1, id: 'b', function: { name: 'two', arguments: '{"path":"ha' } }),
  ).replace('data: [DONE]\n\n', '')
  const turn = foldText(openaiChat, text)
  assert.deepEqual(shortCalls(turn), [['one', { n: 1 }]])
  assert.deepEqual([turn.partial_calls[0]?.name, turn.partial_calls[0]?.bytesCollected, turn.clean_finish], ['two', 11, false])
})

test('a cut call with empty arguments is not taken for a call without arguments', () => {
  const turn = fold(call({ index: 0, id: 'a', function: { name: 'delete_everything', arguments: '' } }))
  assert.deepEqual(turn.tool_calls, [])
  assert.equal(turn.partial_calls[0]?.name, 'delete_everything')
})

test('a call that the output limit cut is partial', () => {
  const turn = fold(call({ index: 0, id: 'a', function: { name: 'one', arguments: '{"n":' } }), openaiChunk({}, 'length'))
  assert.deepEqual([turn.tool_calls.length, turn.partial_calls.length, turn.stop_reason], [0, 1, 'max_tokens'])
})

test('reasoning stays out of the visible text and goes back only with tool calls', () => {
  const plain = fold(openaiChunk({ reasoning_content: 'hm' }), openaiChunk({ content: 'Yes.' }, 'stop'))
  const calling = fold(
    openaiChunk({ reasoning: 'hm' }),
    call({ index: 0, id: 'a', function: { name: 'one', arguments: '{}' } }),
    done,
  )
  assert.deepEqual(plain.blocks, [
    { type: 'reasoning', text: 'hm' },
    { type: 'text', text: 'Yes.' },
  ])
  assert.deepEqual(plain.raw, { role: 'assistant', content: 'Yes.' })
  assert.equal(JSON.stringify(calling.raw).includes('"reasoning":"hm"'), true)
})

test('an error inside the stream ends the folding', () => {
  const turn = fold(
    openaiChunk({ content: 'par' }),
    { error: { message: 'busy', type: 'server_error', code: 503 } },
    openaiChunk({ content: 'x' }, 'stop'),
  )
  assert.deepEqual(turn.error, { type: 'server_error', message: 'busy', retryable: true })
  assert.deepEqual([turn.clean_finish, turn.blocks], [false, [{ type: 'text', text: 'par' }]])
})

test('garbage ends the folding, and a named keep-alive does not', () => {
  const good = openaiStream(openaiChunk({ content: 'a' }), openaiChunk({ content: 'b' }, 'stop'))
  const garbage = foldText(openaiChat, good.replace('\n\n', '\n\ndata: {oops\n\n'))
  const keepAlive = foldText(openaiChat, good.replace('\n\n', '\n\nevent: keepalive\ndata: still here\n\n'))
  assert.deepEqual([garbage.error?.type, garbage.clean_finish], ['invalid_event', false])
  assert.deepEqual([keepAlive.error, keepAlive.clean_finish], [null, true])
})

test('content as a list of parts, other choices and a refusal are read', () => {
  const second = { ...openaiChunk({}), choices: [{ index: 1, delta: { content: 'other choice' }, finish_reason: null }] }
  const turn = fold(
    openaiChunk({
      content: [
        { type: 'text', text: 'a' },
        { type: 'text', text: 'b' },
      ],
    }),
    second,
    openaiChunk({ refusal: ' no' }, 'stop'),
  )
  assert.deepEqual([turn.blocks, turn.stop_reason], [[{ type: 'text', text: 'ab no' }], 'refusal'])
})

test('a whole body folds like its stream', () => {
  const message = {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'a', type: 'function', function: { name: 'one', arguments: '{"n":1}' } }],
  }
  const turn = openaiChat.foldBody({
    model: 'gpt-5',
    choices: [{ index: 0, message, finish_reason: 'stop' }],
    usage: { prompt_tokens: 4, completion_tokens: 2 },
  })
  assert.deepEqual(shortCalls(turn), [['one', { n: 1 }]])
  assert.deepEqual([turn.clean_finish, turn.stop_reason, turn.usage?.input_uncached], [true, 'tool_use', 4])
})
