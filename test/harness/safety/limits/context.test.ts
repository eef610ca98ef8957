import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contextLimit, contextState, contextWarning } from '../../../../src/harness/safety/limits/context.ts'

test('the smaller of the directive limit and the model window binds', () => {
  assert.equal(contextLimit({ max_context_tokens: 500 }, 200_000), 500)
  assert.equal(contextLimit({ max_context_tokens: 500_000 }, 200_000), 200_000)
  assert.equal(contextLimit({}, 200_000), 200_000)
  assert.equal(contextLimit({}, null), null)
})

test('the context is free below its threshold, warns at it and is full at its limit', () => {
  assert.equal(contextState(799, 1000, 0.8).kind, 'free')
  assert.equal(contextState(800, 1000, 0.8).kind, 'warn')
  assert.equal(contextState(1000, 1000, 0.8).kind, 'full')
})

test('an unknown window is never full', () => {
  assert.equal(contextState(10_000_000, null, 0.8).kind, 'free')
})

test('the warning names used, limit, percent and what to do', () => {
  const text = contextWarning({ used: 812, limit: 1000, percent: 81 })
  assert.match(text, /812 of 1000 tokens.*81%.*finish soon/s)
})
