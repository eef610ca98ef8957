import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contextWindowOf, nanoFromUsd, ratesOf } from '../../../../src/harness/safety/model/prices.ts'
import type { Usage } from '../../../../src/harness/base/conversation.ts'

const AT_MS = Date.UTC(2026, 10, 1)
const NOTHING: Usage = { input_uncached: 0, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 0, reasoning: 0 }
const SONNET = { provider: 'anthropic', model: 'claude-sonnet-4-5', price: null }
const TABLE = { input: 3, cache_read: 0.3, cache_write_5m: 3.75, cache_write_1h: 6, output: 15 }

test('a listed price is charged per class in whole nano-dollars without float noise', () => {
  const cost = ratesOf(SONNET, AT_MS)?.costNano({ ...NOTHING, input_uncached: 1000, output: 100 })
  assert.equal(cost, 4_500_000)
})

test('cache classes are charged at their own price and are not charged twice', () => {
  const cost = ratesOf(SONNET, AT_MS)?.costNano({
    ...NOTHING,
    input_uncached: 10,
    cache_read: 1000,
    cache_write_5m: 100,
    cache_write_1h: 10,
  })
  assert.equal(cost, 10 * 3000 + 1000 * 300 + 100 * 3750 + 10 * 6000)
})

test('a configured price wins over the list and charges reasoning as output', () => {
  const rates = ratesOf({ ...SONNET, price: { ...TABLE, output: 1 } }, AT_MS)
  assert.equal(rates?.costNano({ ...NOTHING, output: 5, reasoning: 7 }), 12_000)
})

test('a fraction of a nano-dollar is rounded up', () => {
  const rates = ratesOf({ ...SONNET, price: { ...TABLE, input: 0.0375 } }, AT_MS)
  assert.equal(rates?.costNano({ ...NOTHING, input_uncached: 1 }), 38)
})

test('a model that neither the configuration nor the list knows has no rates', () => {
  assert.equal(ratesOf({ provider: 'anthropic', model: 'scripted-model', price: null }, AT_MS), null)
})

test('a listed model that costs the same at any time charges each class at its own price, also when asked again', () => {
  const usage = { input_uncached: 10, cache_read: 1000, cache_write_5m: 100, cache_write_1h: 10, output: 7, reasoning: 3 }
  const nano = 10 * 1000 + 1000 * 100 + 100 * 1250 + 10 * 2000 + 10 * 5000
  const haiku = { provider: 'anthropic', model: 'claude-haiku-4-5', price: null }
  assert.equal(ratesOf(haiku, AT_MS)?.costNano(usage), nano)
  assert.equal(ratesOf(haiku, AT_MS + 1)?.costNano(usage), nano)
})

test('the worst case of a listed model takes the dearest input class and the dearest tier', () => {
  assert.equal(ratesOf(SONNET, AT_MS)?.worstNano(1, 1), 12_000 + 22_500)
})

test('the output that fits is what remains behind the input at its worst', () => {
  const rates = ratesOf({ ...SONNET, price: TABLE }, AT_MS)
  assert.equal(rates?.outputThatFits(10 * 6000 + 3 * 15_000 + 14_999, 10), 3)
})

test('no output fits when the input alone costs more', () => {
  const rates = ratesOf({ ...SONNET, price: TABLE }, AT_MS)
  assert.equal(rates?.outputThatFits(10 * 6000 - 1, 10), -1)
})

test('the context window comes from the configuration, else from the list', () => {
  assert.equal(contextWindowOf({ ...SONNET, contextWindow: 1234 }), 1234)
  assert.equal(contextWindowOf({ ...SONNET, contextWindow: null }), 200_000)
  assert.equal(contextWindowOf({ provider: 'x', model: 'y', contextWindow: null }), null)
})

test('dollars become nano-dollars exactly', () => {
  assert.equal(nanoFromUsd(0.1) + nanoFromUsd(0.2), nanoFromUsd(0.3))
  assert.throws(() => nanoFromUsd(Number.NaN), RangeError)
})
