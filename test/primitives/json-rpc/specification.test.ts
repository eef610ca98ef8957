/** Every example of https://www.jsonrpc.org/specification#examples: what a caller sends, how a receiver reads it, and how its answer is read. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../../src/json.ts'
import { createAnswers } from '../../../src/primitives/json-rpc/answers.ts'
import type { RpcOutcome } from '../../../src/primitives/json-rpc/contract.ts'
import { parseRpc, parseRpcText } from '../../../src/primitives/json-rpc/parse-message.ts'
import { readExchange } from '../../../src/primitives/json-rpc/rpc-config.ts'
import { answerTo } from './service.ts'

/** What stands in `config.rpc` beside the protocol. */
const sent = (rpc: JsonObject): unknown => {
  const { isBatch, messages } = readExchange(rpc)
  return isBatch ? messages : messages[0]
}

/** What a caller that said `rpc` makes of an answer. */
function read(rpc: JsonObject, answer: string): RpcOutcome {
  const answers = createAnswers(readExchange(rpc))
  const text = parseRpcText(answer)
  if (text.kind === 'single') answers.take(text.parsed)
  else text.entries.forEach((entry) => answers.take(parseRpc(entry)))
  return answers.outcome()
}

/** What a receiver makes of a text: the kind of each message, or what is wrong with it. */
function kinds(text: string): readonly string[] {
  const parsed = parseRpcText(text)
  const all = parsed.kind === 'single' ? [parsed.parsed] : parsed.entries.map(parseRpc)
  return all.map((one) => (one.kind === 'invalid' ? one.violation : one.kind))
}

const CALLS = [
  {
    title: 'positional parameters',
    rpc: { method: 'subtract', params: [42, 23], id: 1 },
    text: '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
    answer: '{"jsonrpc": "2.0", "result": 19, "id": 1}',
    value: { id: 1, result: 19 },
  },
  {
    title: 'positional parameters in another order',
    rpc: { method: 'subtract', params: [23, 42], id: 2 },
    text: '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
    answer: '{"jsonrpc": "2.0", "result": -19, "id": 2}',
    value: { id: 2, result: -19 },
  },
  {
    title: 'named parameters',
    rpc: { method: 'subtract', params: { subtrahend: 23, minuend: 42 }, id: 3 },
    text: '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
    answer: '{"jsonrpc": "2.0", "result": 19, "id": 3}',
    value: { id: 3, result: 19 },
  },
  {
    title: 'named parameters in another order',
    rpc: { method: 'subtract', params: { minuend: 42, subtrahend: 23 }, id: 4 },
    text: '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
    answer: '{"jsonrpc": "2.0", "result": 19, "id": 4}',
    value: { id: 4, result: 19 },
  },
]

for (const { title, rpc, text, answer, value } of CALLS) {
  test(`a call with ${title} is sent, read and answered`, () => {
    assert.deepEqual(sent(rpc), JSON.parse(text))
    assert.deepEqual(kinds(text), ['request'])
    assert.deepEqual(JSON.parse(answerTo(text) ?? ''), JSON.parse(answer))
    assert.deepEqual(read(rpc, answer), { value, error: null })
  })
}

const NOTIFICATIONS = [
  {
    rpc: { method: 'update', params: [1, 2, 3, 4, 5], notification: true },
    text: '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}',
  },
  { rpc: { method: 'foobar', notification: true }, text: '{"jsonrpc": "2.0", "method": "foobar"}' },
]

for (const { rpc, text } of NOTIFICATIONS) {
  test(`the notification ${rpc.method} is sent, read and not answered`, () => {
    assert.deepEqual(sent(rpc), JSON.parse(text))
    assert.deepEqual([kinds(text), answerTo(text)], [['notification'], null])
    assert.deepEqual(createAnswers(readExchange(rpc)).outcome(), { value: { sent: 1 }, error: null })
  })
}

test('a call of a method that does not exist is sent, read and refused', () => {
  const rpc = { method: 'foobar', id: '1' }
  const text = '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}'
  const answer = '{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}'
  assert.deepEqual([sent(rpc), kinds(text)], [JSON.parse(text), ['request']])
  assert.deepEqual(JSON.parse(answerTo(text) ?? ''), JSON.parse(answer))
  const { error } = read(rpc, answer)
  assert.deepEqual([error?.code, error?.detail], ['JSON_RPC_ERROR', { rpc_code: -32601, rpc_name: 'method_not_found' }])
  assert.match(error?.message ?? '', /^foobar was answered with the error -32601 \(method_not_found\): Method not found$/)
})

const SOME_CALL = { method: 'subtract', params: [1, 2] }
const SOME_BATCH = { batch: [SOME_CALL, { method: 'get_data' }] }

const UNREADABLE = [
  {
    title: 'a call with invalid JSON',
    rpc: SOME_CALL,
    text: '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
    kinds: ['not_json'],
    answer: '{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}',
    name: 'parse_error',
  },
  {
    title: 'a call with an invalid request object',
    rpc: SOME_CALL,
    text: '{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
    kinds: ['bad_method'],
    answer: '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}',
    name: 'invalid_request',
  },
  {
    title: 'a batch with invalid JSON',
    rpc: SOME_BATCH,
    text: '[\n  {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},\n  {"jsonrpc": "2.0", "method"\n]',
    kinds: ['not_json'],
    answer: '{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}',
    name: 'parse_error',
  },
  {
    title: 'an empty batch',
    rpc: SOME_BATCH,
    text: '[]',
    kinds: ['empty_batch'],
    answer: '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}',
    name: 'invalid_request',
  },
  {
    title: 'an invalid batch that is not empty',
    rpc: SOME_BATCH,
    text: '[1]',
    kinds: ['not_an_object'],
    answer: '[{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}]',
    name: 'invalid_request',
  },
  {
    title: 'an invalid batch of three',
    rpc: SOME_BATCH,
    text: '[1,2,3]',
    kinds: ['not_an_object', 'not_an_object', 'not_an_object'],
    answer: JSON.stringify(
      Array.from({ length: 3 }, () => ({ jsonrpc: '2.0', error: { code: -32600, message: 'Invalid Request' }, id: null })),
    ),
    name: 'invalid_request',
  },
]

for (const { title, rpc, text, kinds: expected, answer, name } of UNREADABLE) {
  test(`${title} is read as such, and an answer that says so fails the call`, () => {
    assert.deepEqual(kinds(text), expected)
    assert.deepEqual(JSON.parse(answerTo(text) ?? ''), JSON.parse(answer))
    const { value, error } = read(rpc, answer)
    assert.deepEqual([value, error?.code, error?.detail?.['rpc_name']], [null, 'JSON_RPC_ERROR', name])
  })
}

test('nothing that could not be read can be sent', () => {
  for (const rpc of [{ method: 1 }, { method: 'x', params: 'bar' }, { batch: [] }, { batch: [1] }, { method: '' }, {}])
    assert.throws(() => sent(rpc), { name: 'RpcConfigError' })
})

const BATCH_TEXT = `[
  {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
  {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
  {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
  {"foo": "boo"},
  {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
  {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
]`
const BATCH_ANSWER = `[
  {"jsonrpc": "2.0", "result": 7, "id": "1"},
  {"jsonrpc": "2.0", "result": 19, "id": "2"},
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
  {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},
  {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
]`
const BATCH = {
  batch: [
    { method: 'sum', params: [1, 2, 4], id: '1' },
    { method: 'notify_hello', params: [7], notification: true },
    { method: 'subtract', params: [42, 23], id: '2' },
    { method: 'foo.get', params: { name: 'myself' }, id: '5' },
    { method: 'get_data', id: '9' },
  ],
}
const BATCH_VALUE = {
  answers: [
    { id: '1', method: 'sum', result: 7 },
    { id: '2', method: 'subtract', result: 19 },
    { id: '5', method: 'foo.get', error: { rpc_code: -32601, rpc_name: 'method_not_found', message: 'Method not found' } },
    { id: '9', method: 'get_data', result: ['hello', 5] },
  ],
}

test('a batch is sent as a list, and each of its messages is read for itself', () => {
  const valid = (JSON.parse(BATCH_TEXT) as readonly object[]).filter((message) => 'jsonrpc' in message)
  assert.deepEqual(sent(BATCH), valid)
  assert.deepEqual(kinds(BATCH_TEXT), ['request', 'notification', 'request', 'wrong_version', 'request', 'request'])
  assert.deepEqual(JSON.parse(answerTo(BATCH_TEXT) ?? ''), JSON.parse(BATCH_ANSWER))
})

test('the answers of a batch are told by id whatever their order', () => {
  const answers = (JSON.parse(BATCH_ANSWER) as readonly { readonly id: unknown }[]).filter(({ id }) => id !== null)
  assert.deepEqual(read(BATCH, JSON.stringify(answers)), { value: BATCH_VALUE, error: null })
  assert.deepEqual(read(BATCH, JSON.stringify(answers.toReversed())), { value: BATCH_VALUE, error: null })
})

test('what a batch was refused in part for is its error, beside the answers that came', () => {
  const { value, error } = read(BATCH, BATCH_ANSWER)
  assert.deepEqual([value, error?.detail?.['rpc_name']], [BATCH_VALUE, 'invalid_request'])
})

test('a batch of notifications is sent, read and not answered', () => {
  const rpc = {
    batch: [
      { method: 'notify_sum', params: [1, 2, 4], notification: true },
      { method: 'notify_hello', params: [7], notification: true },
    ],
  }
  const text =
    '[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]}, {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]'
  assert.deepEqual([sent(rpc), kinds(text), answerTo(text)], [JSON.parse(text), ['notification', 'notification'], null])
  assert.deepEqual(createAnswers(readExchange(rpc)).outcome(), { value: { sent: 2 }, error: null })
})
