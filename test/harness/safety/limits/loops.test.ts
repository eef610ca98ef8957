import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalJson, recordCall, traceOf } from '../../../../src/harness/safety/limits/loops.ts'
import type { CallTrace, LoopPattern } from '../../../../src/harness/safety/limits/loops.ts'

const A = traceOf('read_file', { path: 'a' }, 'one')
const B = traceOf('read_file', { path: 'b' }, 'two')
const C = traceOf('read_file', { path: 'c' }, 'three')

function loopAfter(...calls: readonly CallTrace[]): LoopPattern | null {
  let recent: readonly CallTrace[] = []
  let loop: LoopPattern | null = null
  for (const call of calls) ({ recent, loop } = recordCall(recent, call))
  return loop
}

test('the same call with the same result three times in five calls is a loop', () => {
  assert.equal(loopAfter(A, B, A, C, A), 'same_call')
})

test('the same call twice is no loop, nor three times in six calls', () => {
  assert.equal(loopAfter(A, A), null)
  assert.equal(loopAfter(A, A, B, C, traceOf('x', {}, ''), A), null)
})

test('the same call with another result is progress', () => {
  assert.equal(loopAfter(traceOf('t', {}, '1'), traceOf('t', {}, '2'), traceOf('t', {}, '3')), null)
})

test('two calls in turn are a loop when the pair repeats', () => {
  assert.equal(loopAfter(A, B, A), null)
  assert.equal(loopAfter(A, B, A, B), 'alternating')
})

test('the order of argument keys makes no difference', () => {
  assert.deepEqual(traceOf('t', { a: 1, b: { c: 2, d: 3 } }, 'r'), traceOf('t', { b: { d: 3, c: 2 }, a: 1 }, 'r'))
  assert.equal(canonicalJson({ b: [{ d: null, c: 'x' }], a: 1 }), '{"a":1,"b":[{"c":"x","d":null}]}')
})

test('two tools with equal arguments are different calls', () => {
  assert.notEqual(traceOf('one', {}, 'r').call, traceOf('two', {}, 'r').call)
})
