import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Json, JsonObject } from '../../../src/json.ts'
import { createAnswers } from '../../../src/primitives/json-rpc/answers.ts'
import type { RpcOutcome } from '../../../src/primitives/json-rpc/contract.ts'
import { rpcErrorName } from '../../../src/primitives/json-rpc/error-codes.ts'
import { parseRpc } from '../../../src/primitives/json-rpc/parse-message.ts'
import { readExchange } from '../../../src/primitives/json-rpc/rpc-config.ts'

const INVALID = [
  ['not_an_object', null],
  ['not_an_object', 'text'],
  ['wrong_version', { id: 1, result: 1 }],
  ['wrong_version', { jsonrpc: 2, id: 1, result: 1 }],
  ['bad_id', { jsonrpc: '2.0', id: 1.5, result: 1 }],
  ['bad_id', { jsonrpc: '2.0', id: null, result: 1 }],
  ['bad_id', { jsonrpc: '2.0', result: 1 }],
  ['bad_id', { jsonrpc: '2.0', id: { a: 1 }, method: 'x' }],
  ['bad_id', { jsonrpc: '2.0', id: null, method: 'x' }],
  ['bad_id', { jsonrpc: '2.0', error: { code: 1, message: 'x' } }],
  ['bad_method', { jsonrpc: '2.0', method: 5, id: 1 }],
  ['bad_method', { jsonrpc: '2.0', method: 'x', id: 1, result: 1 }],
  ['bad_params', { jsonrpc: '2.0', method: 'x', params: 'y' }],
  ['bad_params', { jsonrpc: '2.0', method: 'x', params: null }],
  ['result_and_error', { jsonrpc: '2.0', id: 1, result: 1, error: { code: 1, message: 'x' } }],
  ['result_and_error', { jsonrpc: '2.0', id: 1, result: null, error: null }],
  ['neither_result_nor_error', { jsonrpc: '2.0', id: 1 }],
  ['bad_error', { jsonrpc: '2.0', id: 1, error: 'no' }],
  ['bad_error', { jsonrpc: '2.0', id: 1, error: { code: '1', message: 'x' } }],
  ['bad_error', { jsonrpc: '2.0', id: 1, error: { code: 1 } }],
] as const

for (const [violation, message] of INVALID) {
  test(`${JSON.stringify(message)} is no message: ${violation}`, () => {
    const parsed = parseRpc(message)
    assert.equal(parsed.kind === 'invalid' ? parsed.violation : parsed.kind, violation)
  })
}

test('the id of a message that is wrong otherwise is told', () => {
  const parsed = parseRpc({ jsonrpc: '2.0', id: 'seven', error: 5 })
  assert.equal(parsed.kind === 'invalid' ? parsed.id : null, 'seven')
})

test('null is a result', () => {
  assert.deepEqual(answered({ method: 'x' }, { id: 1, result: null }), { value: { id: 1, result: null }, error: null })
})

const NAMES = [
  [-32700, 'parse_error'],
  [-32600, 'invalid_request'],
  [-32601, 'method_not_found'],
  [-32602, 'invalid_params'],
  [-32603, 'internal_error'],
  [-32000, 'server_error'],
  [-32099, 'server_error'],
  [-32100, 'reserved'],
  [-32768, 'reserved'],
  [-31999, 'application_error'],
  [-32769, 'application_error'],
  [7, 'application_error'],
] as const

for (const [code, name] of NAMES) {
  test(`the error ${code} is called ${name}`, () => {
    assert.equal(rpcErrorName(code), name)
    const { error } = answered({ method: 'x' }, { id: 1, error: { code, message: 'why', data: { more: true } } })
    assert.deepEqual(error?.detail, { rpc_code: code, rpc_name: name, data: { more: true } })
  })
}

test('the data of an error is shown up to a bound', () => {
  const { error } = answered({ method: 'x' }, { id: 1, error: { code: 1, message: 'm'.repeat(9_000), data: 'd'.repeat(90_000) } })
  assert.match(String(error?.detail?.['data']), /^"d{8191}… \(90002 characters\)$/)
  assert.ok((error?.message.length ?? 0) < 2_200)
})

/** Takes each message in turn. */
function answered(rpc: JsonObject, ...messages: readonly JsonObject[]): RpcOutcome {
  const answers = createAnswers(readExchange(rpc))
  for (const message of messages) answers.take(parseRpc({ jsonrpc: '2.0', ...message }))
  return answers.outcome()
}

const BREACHES = [
  ['unknown_id', { method: 'x' }, [{ id: 2, result: 1 }]],
  ['unknown_id', { method: 'x' }, [{ id: '1', result: 1 }]],
  ['unknown_id', { method: 'x', notification: true }, [{ id: 1, result: 1 }]],
  [
    'duplicate_id',
    { batch: [{ method: 'x' }, { method: 'y' }] },
    [
      { id: 1, result: 1 },
      { id: 1, result: 2 },
    ],
  ],
  [
    'duplicate_id',
    { method: 'x' },
    [
      { id: 1, result: 1 },
      { id: 1, result: 1 },
    ],
  ],
  ['result_and_error', { method: 'x' }, [{ id: 1, result: 1, error: { code: 1, message: 'x' } }]],
  ['not_an_answer', { method: 'x' }, [{ id: 1, method: 'sampling' }]],
] as const

for (const [violation, rpc, messages] of BREACHES) {
  test(`threat row 34: ${violation} fails the call: ${JSON.stringify(messages)}`, () => {
    // Guard: `take` of the answers, which knows each id that is waited for.
    const { value, error } = answered(rpc, ...messages)
    assert.deepEqual([value, error?.code, error?.detail?.['violation']], [null, 'INVALID_RESPONSE', violation])
  })
}

test('answers that are missing in a batch are told by their ids, beside those that came', () => {
  const { value, error } = answered({ batch: [{ method: 'x', id: 'a' }, { method: 'y' }, { method: 'z' }] }, { id: 1, result: 5 })
  assert.deepEqual([error?.code, error?.detail], ['INVALID_RESPONSE', { violation: 'missing', missing: ['a', 2] }])
  assert.deepEqual(value, {
    answers: [
      { id: 'a', method: 'x', missing: true },
      { id: 1, method: 'y', result: 5 },
      { id: 2, method: 'z', missing: true },
    ],
  })
})

test('ids of our own keep out of the way of given ones', () => {
  const { requests } = readExchange({ batch: [{ method: 'a', id: 1 }, { method: 'b' }, { method: 'c', id: 3 }, { method: 'd' }] })
  assert.deepEqual(
    requests.map(({ id }) => id),
    [1, 2, 3, 4],
  )
})

test('what is given as null is not given', () => {
  const { messages } = readExchange({ method: 'x', params: null, id: null, notification: null, batch: null })
  assert.deepEqual(messages, [{ jsonrpc: '2.0', id: 1, method: 'x' }])
})

const WRONG: readonly (readonly [RegExp, JsonObject])[] = [
  [/no field "metod"/, { metod: 'x' }],
  [/`rpc\.method` to be the name of a method, got nothing/, {}],
  [/`rpc\.params` to be an object or a list, got "x"/, { method: 'x', params: 'x' }],
  [/`rpc\.id` to be text or a whole number, got 1\.5/, { method: 'x', id: 1.5 }],
  [/`rpc\.notification` to be true or false/, { method: 'x', notification: 'yes' }],
  [/is a notification, which has no `id`/, { method: 'x', notification: true, id: 1 }],
  [/both `batch` and `method`/, { method: 'x', batch: [{ method: 'y' }] }],
  [/a list of 1 to 1000 messages/, { batch: [] }],
  [/a list of 1 to 1000 messages/, { batch: Array.from({ length: 1_001 }, () => ({ method: 'x' })) }],
  [/`rpc\.batch\[0\]` has no field "jsonrpc"/, { batch: [{ jsonrpc: '2.0', method: 'x' }] }],
  [/`rpc\.batch\[1\]\.params`/, { batch: [{ method: 'x' }, { method: 'y', params: 1 }] }],
  [
    /uses the id 7 twice/,
    {
      batch: [
        { method: 'x', id: 7 },
        { method: 'y', id: 7 },
      ],
    },
  ],
]

for (const [message, rpc] of WRONG) {
  test(`what cannot be sent is told by its field: ${String(message)}`, () => {
    assert.throws(() => readExchange(rpc), { name: 'RpcConfigError', message })
  })
}

test('a message keeps a key called __proto__ as a plain key', () => {
  const result: Json = JSON.parse('{"__proto__": {"polluted": true}}') as Json
  const { value } = answered({ method: 'x' }, { id: 1, result })
  assert.deepEqual([JSON.stringify(value), 'polluted' in {}], ['{"id":1,"result":{"__proto__":{"polluted":true}}}', false])
})
