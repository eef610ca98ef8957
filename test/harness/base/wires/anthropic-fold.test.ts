import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anthropicMessages } from '../../../../src/harness/base/wires/anthropic-messages.ts'
import type { LiveDelta } from '../../../../src/harness/base/wires/wire.ts'
import { anthropicStream, foldText } from './folded-bytes.ts'
import type { StreamedEvent } from './folded-bytes.ts'
import { anthropicCut, anthropicOverloaded, anthropicWhole } from './recorded-streams.ts'

const fold = (...events: readonly StreamedEvent[]) => foldText(anthropicMessages, anthropicStream(...events))
const toolUse = (id: string, input: unknown = {}) => ({
  type: 'content_block_start',
  index: 0,
  content_block: { type: 'tool_use', id, name: 'read_file', input },
})
const json = (partial: string) => ({
  type: 'content_block_delta',
  index: 0,
  delta: { type: 'input_json_delta', partial_json: partial },
})
const closed = { type: 'content_block_stop', index: 0 }
const ended = (reason: string) => [
  { type: 'message_delta', delta: { stop_reason: reason }, usage: { output_tokens: 9 } },
  { type: 'message_stop' },
]

test('a whole answer gives its text, reasoning and calls in order', () => {
  const turn = foldText(anthropicMessages, anthropicWhole)
  assert.deepEqual(turn.blocks, [
    { type: 'reasoning', text: 'The user wants "ä" and two tools.\n' },
    { type: 'text', text: 'Größe: 3 €, a "quote", a \\ and 🥝\n' },
    { type: 'tool_call', call: { id: 'toolu_01', name: 'read_file', arguments: { path: 'src/ä.ts', lines: [1, 2] } } },
    { type: 'tool_call', call: { id: 'toolu_02', name: 'list_files', arguments: {} } },
  ])
  assert.equal(turn.stop_reason, 'tool_use')
  assert.equal(turn.clean_finish, true)
  assert.equal(turn.model, 'claude-sonnet-5')
})

test('thinking, its signature and redacted thinking are kept unchanged for replay', () => {
  const turn = foldText(anthropicMessages, anthropicWhole)
  assert.deepEqual(turn.raw, [
    { type: 'thinking', thinking: 'The user wants "ä" and two tools.\n', signature: 'EqQBCgIYAhIM+/==' },
    { type: 'redacted_thinking', data: 'EmwKAhgBEgy3va3pzix/LafPsn4a' },
    { type: 'text', text: 'Größe: 3 €, a "quote", a \\ and 🥝\n' },
    { type: 'tool_use', id: 'toolu_01', name: 'read_file', input: { path: 'src/ä.ts', lines: [1, 2] } },
    { type: 'tool_use', id: 'toolu_02', name: 'list_files', input: {} },
  ])
})

test('usage classes are disjoint and cumulative counters do not zero what they do not name', () => {
  assert.deepEqual(foldText(anthropicMessages, anthropicWhole).usage, {
    input_uncached: 12,
    cache_read: 2000,
    cache_write_5m: 250,
    cache_write_1h: 50,
    output: 88,
    reasoning: 0,
  })
})

test('thinking tokens are taken out of the output, which includes them', () => {
  const usage = {
    output_tokens: 100,
    output_tokens_details: { thinking_tokens: 60 },
    input_tokens: 5,
    cache_read_input_tokens: null,
  }
  const turn = fold({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage }, { type: 'message_stop' })
  assert.deepEqual([turn.usage?.output, turn.usage?.reasoning, turn.usage?.input_uncached], [40, 60, 5])
})

test('live deltas join to the visible text, and name each call', () => {
  const deltas: LiveDelta[] = []
  foldText(anthropicMessages, anthropicWhole, (delta) => deltas.push(delta))
  const text = deltas.map((delta) => (delta.type === 'text' ? delta.text : '')).join('')
  assert.equal(text, 'Größe: 3 €, a "quote", a \\ and 🥝\n')
  assert.deepEqual(
    deltas.filter(({ type }) => type === 'tool_call'),
    [
      { type: 'tool_call', name: 'read_file' },
      { type: 'tool_call', name: 'list_files' },
    ],
  )
})

test('a cut keeps the closed call and discards the open one', () => {
  const turn = foldText(anthropicMessages, anthropicCut)
  assert.deepEqual(turn.tool_calls, [{ id: 'toolu_a', name: 'first_tool', arguments: { n: 1 } }])
  assert.equal(turn.partial_calls.length, 1)
  const [partial] = turn.partial_calls
  assert.deepEqual([partial?.id, partial?.name, partial?.bytesCollected], ['toolu_b', 'second_tool', 13])
  assert.match(partial?.jsonParseError ?? '', /JSON/)
  assert.equal(turn.clean_finish, false)
  assert.equal(JSON.stringify(turn.raw).includes('toolu_b'), false)
})

test('a call whose input is whole but not closed is still discarded', () => {
  const turn = fold(toolUse('toolu_1'), json('{"a":1}'))
  assert.deepEqual(turn.tool_calls, [])
  assert.deepEqual(turn.partial_calls, [{ id: 'toolu_1', name: 'read_file', bytesCollected: 7, jsonParseError: null }])
})

test('thinking that was cut before its signature is not replayed', () => {
  const turn = fold(
    { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'half a thou' } },
  )
  assert.deepEqual(turn.blocks, [{ type: 'reasoning', text: 'half a thou' }])
  assert.deepEqual(turn.raw, [])
})

test('an error event ends the folding, keeps what came before and says whether it may go away', () => {
  const turn = foldText(anthropicMessages, anthropicOverloaded)
  assert.deepEqual(turn.error, { type: 'overloaded_error', message: 'Overloaded', retryable: true })
  assert.deepEqual(turn.blocks, [{ type: 'text', text: 'Partial ' }])
  assert.equal(turn.clean_finish, false)
})

test('an invalid request told as an event is not retryable', () => {
  const turn = fold({ type: 'error', error: { type: 'invalid_request_error', message: 'no' } })
  assert.equal(turn.error?.retryable, false)
})

test('data that is not JSON ends the folding like a cut', () => {
  const text = `${anthropicStream(toolUse('toolu_1'), json('{}'), closed)}data: {"type":"content_\n\n${anthropicStream(...ended('tool_use'))}`
  const turn = foldText(anthropicMessages, text)
  assert.equal(turn.error?.type, 'invalid_event')
  assert.equal(turn.clean_finish, false)
  assert.equal(turn.tool_calls.length, 1)
})

test('unknown events, deltas and blocks are ignored, and an unknown block is replayed', () => {
  const turn = fold(
    { type: 'brand_new_event', x: 1 },
    {
      type: 'content_block_start',
      index: 0,
      content_block: { type: 'server_tool_use', id: 'srv_1', name: 'web_search', input: {} },
    },
    json('{"q":"x"}'),
    { type: 'content_block_delta', index: 0, delta: { type: 'new_delta', x: 1 } },
    closed,
    ...ended('end_turn'),
  )
  assert.deepEqual(turn.blocks, [])
  assert.deepEqual(turn.raw, [{ type: 'server_tool_use', id: 'srv_1', name: 'web_search', input: { q: 'x' } }])
})

test('a closed call with broken arguments is answered with an error, not run', () => {
  const turn = fold(toolUse('toolu_1'), json('{"a": nope}'), closed, ...ended('tool_use'))
  assert.match(turn.tool_calls[0]?.invalid ?? '', /not valid JSON.*Send the call again/)
  assert.deepEqual(turn.tool_calls[0]?.arguments, {})
})

test('arguments that are an array are invalid, and so is a prototype key', () => {
  const list = fold(toolUse('toolu_1'), json('[1]'), closed, ...ended('tool_use'))
  const prototype = fold(toolUse('toolu_1'), json('{"a":{"\\u005f_proto__":{"x":1}}}'), closed, ...ended('tool_use'))
  assert.match(list.tool_calls[0]?.invalid ?? '', /must be a JSON object, got an array/)
  assert.match(prototype.tool_calls[0]?.invalid ?? '', /__proto__/)
})

test('a call that the output limit cut is partial although its block was closed', () => {
  const turn = fold(toolUse('toolu_1'), json('{"a": "long'), closed, ...ended('max_tokens'))
  assert.deepEqual(turn.tool_calls, [])
  assert.equal(turn.partial_calls[0]?.name, 'read_file')
  assert.equal(turn.clean_finish, true)
})

test('an imitator that sends the whole input at once and closes no block is understood', () => {
  const turn = fold(toolUse('toolu_1', { path: 'x' }), ...ended('end_turn'))
  assert.deepEqual(turn.tool_calls, [{ id: 'toolu_1', name: 'read_file', arguments: { path: 'x' } }])
  assert.equal(turn.stop_reason, 'tool_use')
})

test('empty text blocks are not replayed, because the provider refuses them back', () => {
  const turn = fold(
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    closed,
    ...ended('end_turn'),
  )
  assert.deepEqual([turn.blocks, turn.raw], [[], []])
})

test('a whole body folds to the same turn as its stream', () => {
  const body = {
    type: 'message',
    model: 'claude-sonnet-5',
    content: [
      { type: 'text', text: 'Hi' },
      { type: 'tool_use', id: 'toolu_1', name: 'read_file', input: { path: 'x' } },
    ],
    stop_reason: 'tool_use',
    usage: { input_tokens: 3, output_tokens: 4 },
  }
  const turn = anthropicMessages.foldBody(body)
  assert.deepEqual(turn.tool_calls, [{ id: 'toolu_1', name: 'read_file', arguments: { path: 'x' } }])
  assert.deepEqual([turn.clean_finish, turn.usage?.output, turn.raw], [true, 4, body.content])
})

test('a body that is an error or no message at all is an error turn', () => {
  const error = anthropicMessages.foldBody({ type: 'error', error: { type: 'not_found_error', message: 'model: x' } })
  assert.deepEqual(error.error, { type: 'not_found_error', message: 'model: x', retryable: false })
  assert.equal(anthropicMessages.foldBody('<html>').error?.type, 'invalid_response')
})
