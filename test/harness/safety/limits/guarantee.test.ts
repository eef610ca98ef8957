import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directive, openWorkshop, says } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'
import type { ModelTarget } from '../../../../src/harness/safety/services.ts'

const UNCAPPED = directive('uncapped')
const CAPPED = directive('capped', '<max_turns>5</max_turns><on_exceeded>stop</on_exceeded><max_cost_usd>1</max_cost_usd>')
const SHOP = { directives: { uncapped: UNCAPPED, capped: CAPPED }, scenario: () => says('Done.') }

/** The guarantee of a thread as the registry tool and `wait_thread` show it. */
async function shownBy(shop: Workshop, threadId: string): Promise<readonly unknown[]> {
  const status = await shop.call('thread_registry', { action: 'get_status', thread_id: threadId })
  const waited = await shop.call('wait_thread', { thread_id: threadId })
  const seen = [status, waited].map((answer) => /"guarantee":"(\w+)"/u.exec(JSON.stringify(answer))?.[1])
  return [...seen, shop.threads.get(threadId).guarantee]
}

test('a thread whose model has a known price shows a hard guarantee wherever it is looked at', async (t) => {
  const shop = await openWorkshop(t, SHOP)
  for (const name of ['capped', 'uncapped']) {
    const { thread_id: id } = await shop.run(name)
    assert.deepEqual(await shownBy(shop, id), ['hard', 'hard', 'hard'], name)
  }
})

test('a thread without a known price shows an advisory guarantee wherever it is looked at, and costs nothing that is known', async (t) => {
  const shop = await openWorkshop(t, { ...SHOP, model: { price: null, model: 'nobody-knows' } })
  const row = await shop.run('uncapped')
  assert.deepEqual(await shownBy(shop, row.thread_id), ['advisory', 'advisory', 'advisory'])
  assert.deepEqual([row.end_reason, row.total_usage['cost_nano'], row.total_usage['input_uncached']], ['done', 0, 100])
})

test('threat row 52: a thread with a cap whose price is lost before it runs calls no model', async (t) => {
  // Fails without the look at a missing price before the call is planned: it would run unreserved and uncounted.
  const model: { price?: ModelTarget['price']; model?: string } = {}
  const shop = await openWorkshop(t, {
    ...SHOP,
    model,
    wrapRunner: (runner) => ({
      ...runner,
      runTurn: (context, state) => {
        Object.assign(model, { price: null, model: 'nobody-knows' })
        return runner.runTurn(context, state)
      },
    }),
  })
  const row = await shop.run('capped')
  assert.equal(shop.model.requests().length, 0)
  assert.deepEqual([row.status, row.guarantee], ['error', 'hard'])
  assert.match(JSON.stringify(row.result), /No price is known any more for model nobody-knows .*UNKNOWN_PRICE/u)
})
