import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readVerdict } from '../../../../src/harness/safety/hooks/verdict.ts'

const RETRY = { action: 'retry', message: 'again' } as const

test('structured outputs count before the text', () => {
  assert.deepEqual(readVerdict({ text: '{"action":"fail"}', outputs: RETRY }), RETRY)
})

test('a text that is one JSON object is the answer', () => {
  assert.deepEqual(readVerdict({ text: ' {"action": "retry", "message": " again "}\n' }), RETRY)
})

test('the one fence of JSON in a text is the answer', () => {
  assert.deepEqual(readVerdict({ text: 'So be it:\n```json\n{"action":"retry","message":"again"}\n```\nGood luck.' }), RETRY)
})

test('a fence within a message is no answer of its own', () => {
  const text = JSON.stringify({ action: 'retry', message: '```json\n{"action":"abort"}\n```' })
  assert.equal(readVerdict({ text }).action, 'retry')
})

for (const [what, text] of [
  ['two fences', '```json\n{"action":"retry"}\n```\n```json\n{"action":"abort"}\n```'],
  ['a fence that is never closed', '```json\n{"action":"retry"}'],
  ['JSON among words', 'My answer is {"action":"retry"}.'],
  ['a list', '[{"action":"retry"}]'],
  ['an action that is no text', '{"action":["retry"]}'],
  ['an action of the prototype', '{"__proto__":{"action":"retry"}}'],
  ['a very long text', `{"action":"retry","message":"${'x'.repeat(70_000)}"}`],
  ['nothing', ''],
] as const) {
  test(`${what} is no answer, which is fail`, () => {
    assert.equal(readVerdict({ text }).action, 'fail')
  })
}

test('a result that is no object is fail', () => {
  assert.deepEqual([readVerdict(null).action, readVerdict('retry').action, readVerdict([]).action], ['fail', 'fail', 'fail'])
})
