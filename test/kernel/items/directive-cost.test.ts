import assert from 'node:assert/strict'
import { test } from 'node:test'
import { costOf } from '../../../src/kernel/items/directive-cost.ts'

test('limits as a JSON object have the defaults of <cost>', () => {
  const { cost, errors } = costOf({ max_turns: 4, on_exceeded: 'warn', max_cost_usd: 0.5, max_duration_seconds: 1.5 })
  assert.deepEqual(errors, [])
  assert.deepEqual(cost, {
    max_turns: 4,
    on_exceeded: 'warn',
    max_cost_usd: 0.5,
    max_duration_seconds: 1.5,
    context_warning_threshold: 0.8,
    on_context_full: 'stop',
  })
})

test('each wrong field is named with what it must be, and nothing is read from a number in quotes', () => {
  const { cost, errors } = costOf({ max_turns: '4', on_exceeded: 'stop', max_spawns: 1.5, max_spawn: 3 })
  assert.equal(cost, null)
  assert.deepEqual(
    errors.map(({ field, error }) => `${field} ${error}`),
    [
      'cost.max_turns must be a whole number from 0 up',
      'cost.max_spawns must be a whole number from 0 up',
      'cost.max_spawn is no limit. Did you mean `max_spawns`?',
    ],
  )
})
