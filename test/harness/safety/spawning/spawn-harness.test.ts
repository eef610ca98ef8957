import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JsonObject } from '../../../../src/json.ts'
import type { ErrorBody } from '../../../../src/kernel/errors.ts'
import { harnessSource } from '../../custom/harness-project.ts'
import { directive, executes, openWorkshop, says, type Workshop, type WorkshopOptions } from '../workshop.ts'

const COST = { max_turns: 3, on_exceeded: 'stop', max_cost_usd: 0.25 }
const OPTIONS: WorkshopOptions = {
  scenario: () => says('Done.'),
  tools: { mine: harnessSource('throw new Error()') },
  directives: { work: directive('work') },
}

async function refusal(shop: Workshop, parameters: JsonObject): Promise<ErrorBody> {
  const answer = await shop.call('spawn_thread', { thread_id: 'a', ...parameters })
  assert.ok(!answer.success)
  assert.deepEqual(shop.threads.list(), [], 'nothing was spawned')
  return answer.error
}

test('a harness without a directive is spawned with limits of its own, no grants, and its name in the place of the directive', async (t) => {
  const shop = await openWorkshop(t, OPTIONS)
  const inputs = { text: 'two words' }
  const answer = await shop.call('spawn_thread', { thread_id: 'my thread', harness: 'mine', cost: COST, inputs })
  assert.ok(answer.success, JSON.stringify(answer))
  const row = shop.threads.get('my_thread')
  assert.deepEqual([row.directive_id, row.harness, row.guarantee, row.parent_thread_id], ['mine', 'mine', 'advisory', null])
  assert.deepEqual([row.cost_budget['max_turns'], row.cost_budget['on_exceeded']], [3, 'stop'])
  assert.deepEqual((row.permission_context['grants'] as JsonObject)['capabilities'], {})
  const start = shop.threads.start('my_thread')
  assert.deepEqual([start.inputs, start.grantedNano, start.initialMessage], [inputs, 250_000_000, 'Begin.'])
})

test('a thread without a directive is not spawned without a budget, and every wrong field of it is named', async (t) => {
  const shop = await openWorkshop(t, OPTIONS)
  const none = await refusal(shop, { harness: 'mine' })
  assert.deepEqual([none.code, none.failed_at?.validation_errors[0]?.field], ['PARAMETER_VALIDATION_ERROR', 'cost'])
  const wrong = await refusal(shop, { harness: 'mine', cost: { max_turn: 3, max_cost_usd: -1, on_exceeded: 'explode' } })
  assert.deepEqual(
    wrong.failed_at?.validation_errors.map(({ field }) => field),
    ['cost.max_turn', 'cost.max_cost_usd', 'cost.on_exceeded', 'cost.max_turns'],
  )
})

test('only a signed harness is spawned', async (t) => {
  const shop = await openWorkshop(t, OPTIONS)
  writeFileSync(join(shop.projectPath, '.ai/tools/unsigned.ts'), harnessSource('throw new Error()'))
  const causes: Record<string, string> = {}
  for (const harness of ['unknown', 'unsigned', 'read_file']) {
    const { code, cause } = await refusal(shop, { harness, cost: COST })
    causes[harness] = `${code} ${cause?.code}`
  }
  assert.deepEqual(causes, {
    unknown: 'SPAWN_FAILED ITEM_NOT_FOUND',
    unsigned: 'SPAWN_FAILED ITEM_UNSIGNED',
    read_file: 'SPAWN_FAILED INVALID_REQUEST',
  })
})

test('a spawn names a directive or a harness with its cost, and nothing in between', async (t) => {
  const shop = await openWorkshop(t, OPTIONS)
  const nothing = await refusal(shop, { cost: COST })
  assert.match(nothing.message, /safety_harness runs a directive/)
  const both = await refusal(shop, { directive_name: 'work', harness: 'mine', cost: COST })
  assert.match(both.message, /cost cannot be given with directive_name/)
  const unsigned = await shop.call('spawn_thread', { thread_id: 'a', directive_name: 'work', harness: 'nowhere' })
  assert.ok(!unsigned.success && unsigned.error.code === 'SPAWN_FAILED')
})

test('a thread, whatever it is granted, spawns no harness that its token would not bound', async (t) => {
  // Without the look at the calling thread (spawn-harness.ts), the call that stands in for a token with every capability succeeds.
  const shop = await openWorkshop(t, { ...OPTIONS, scenario: () => executes(['wait_thread', { thread_ids: ['nobody'] }]) })
  const id = await shop.spawn('work')
  const context = { __thread_id: id, __auth: shop.services.hostAuthority }
  const answer = await shop.call('spawn_thread', { thread_id: 'a', harness: 'mine', cost: COST }, context)
  assert.ok(!answer.success)
  assert.equal(answer.error.code, 'PERMISSION_DENIED')
  assert.equal(shop.threads.list({ directive_id: 'mine' }).length, 0)
})
