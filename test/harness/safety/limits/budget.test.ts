import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  exceededLimits,
  exceededToolCalls,
  inputBound,
  outputAllowed,
  planCall,
  secondsLeft,
} from '../../../../src/harness/safety/limits/budget.ts'
import type { LimitInput } from '../../../../src/harness/safety/limits/budget.ts'
import { ratesOf } from '../../../../src/harness/safety/model/prices.ts'
import type { CostLimits } from '../../../../src/kernel/items/item.ts'

const LIMITS: CostLimits = { max_turns: 10, on_exceeded: 'stop', context_warning_threshold: 0.8, on_context_full: 'stop' }
const NONE = { turns: 0, tokens: 0, toolCalls: 0, seconds: 0, nano: 0 }
const SPENT = { turns: 0, inputTokens: 0, outputTokens: 0, toolCalls: 0, costNano: 0 }
const PRICE = { input: 1, cache_read: 1, cache_write_5m: 1, cache_write_1h: 1, output: 10 }
const RATES = ratesOf({ provider: 'p', model: 'm', price: PRICE }, 0)

function limitsReached(change: Partial<LimitInput>): readonly string[] {
  return exceededLimits({ limits: LIMITS, added: NONE, spent: SPENT, elapsedSeconds: 0, ...change }).map(
    (found) => found.endReason,
  )
}

test('a limit is reached when what was spent equals it', () => {
  assert.deepEqual(limitsReached({ spent: { ...SPENT, turns: 9 } }), [])
  assert.deepEqual(limitsReached({ spent: { ...SPENT, turns: 10 } }), ['max_turns'])
})

test('limits are reported in the order turns, tokens, duration, money', () => {
  const limits = { ...LIMITS, max_total_tokens: 5, max_duration_seconds: 1, max_cost_usd: 0.000000001 }
  const spent = { ...SPENT, turns: 10, inputTokens: 3, outputTokens: 2, costNano: 1 }
  assert.deepEqual(limitsReached({ limits, spent, elapsedSeconds: 1 }), [
    'max_turns',
    'max_tokens',
    'max_duration',
    'cost_exceeded',
  ])
})

test('a limit of zero forbids and an absent limit does not bind', () => {
  assert.deepEqual(limitsReached({ limits: { ...LIMITS, max_turns: 0 } }), ['max_turns'])
  assert.deepEqual(limitsReached({ limits: { ...LIMITS, max_cost_usd: 0 } }), ['cost_exceeded'])
  assert.deepEqual(limitsReached({ spent: { ...SPENT, inputTokens: 1e12 } }), [])
})

test('what an operator added raises the limit', () => {
  assert.deepEqual(limitsReached({ spent: { ...SPENT, turns: 10 }, added: { ...NONE, turns: 1 } }), [])
})

test('money is compared in nano-dollars', () => {
  const limits = { ...LIMITS, max_cost_usd: 0.1 }
  assert.deepEqual(limitsReached({ limits, spent: { ...SPENT, costNano: 99_999_999 } }), [])
  assert.deepEqual(limitsReached({ limits, spent: { ...SPENT, costNano: 100_000_000 } }), ['cost_exceeded'])
})

test('the tool call beyond max_tool_calls is the one that is refused', () => {
  const limits = { ...LIMITS, max_tool_calls: 2 }
  assert.equal(exceededToolCalls(limits, NONE, 1), null)
  assert.equal(exceededToolCalls(limits, NONE, 2)?.endReason, 'max_tool_calls')
  assert.equal(exceededToolCalls(LIMITS, NONE, 99), null)
})

test('the first request is bounded by its bytes and the hidden tool prompt', () => {
  assert.equal(inputBound(null, { bytes: 1000, messages: 2, answerBytes: 0 }), 1000 + 64 + 1024)
})

test('a later request is bounded by what was measured, the answer and the bytes added since', () => {
  const measured = { inputTokens: 500, outputTokens: 40, seq: 3 }
  assert.equal(inputBound(measured, { bytes: 100, messages: 1, answerBytes: 90 }), 500 + 90 + 100 + 32)
})

test('hidden reasoning counts with its tokens where its bytes are fewer', () => {
  const measured = { inputTokens: 500, outputTokens: 4000, seq: 3 }
  assert.equal(inputBound(measured, { bytes: 0, messages: 0, answerBytes: 90 }), 4500)
})

test('a call that fits reserves its worst case', () => {
  assert.deepEqual(planCall({ rates: RATES, inputBound: 100, outputTokens: 50, availableNano: 1e9 }), {
    outputTokens: 50,
    reserveNano: 100 * 1000 + 50 * 10_000,
    affordable: true,
  })
})

test('the output limit is lowered to what is left', () => {
  const plan = planCall({ rates: RATES, inputBound: 100, outputTokens: 5000, availableNano: 100 * 1000 + 300 * 10_000 + 9999 })
  assert.deepEqual(plan, { outputTokens: 300, reserveNano: 100 * 1000 + 300 * 10_000, affordable: true })
})

test('a call whose least useful answer does not fit asks for more than there is', () => {
  const availableNano = 100 * 1000 + 255 * 10_000
  const plan = planCall({ rates: RATES, inputBound: 100, outputTokens: 5000, availableNano })
  assert.deepEqual(plan, { outputTokens: 256, reserveNano: 100 * 1000 + 256 * 10_000, affordable: false })
})

test('without a price or without a cap nothing is reserved', () => {
  const unbound = { outputTokens: 7, reserveNano: null, affordable: true }
  assert.deepEqual(planCall({ rates: null, inputBound: 1, outputTokens: 7, availableNano: 0 }), unbound)
  assert.deepEqual(planCall({ rates: RATES, inputBound: 1, outputTokens: 7, availableNano: null }), unbound)
})

test('a request asks for no more output than the token limit leaves', () => {
  const spent = { ...SPENT, outputTokens: 90 }
  assert.equal(outputAllowed({ ...LIMITS, max_output_tokens: 100 }, NONE, spent, 4096), 10)
  assert.equal(outputAllowed({ ...LIMITS, max_output_tokens: 100, on_exceeded: 'warn' }, NONE, spent, 4096), 4096)
})

test('the seconds that are left bound a step, unless the limit only warns', () => {
  assert.equal(secondsLeft({ ...LIMITS, max_duration_seconds: 60 }, NONE, 45), 15)
  assert.equal(secondsLeft({ ...LIMITS, max_duration_seconds: 60, on_exceeded: 'warn' }, NONE, 45), null)
  assert.equal(secondsLeft(LIMITS, NONE, 45), null)
})
