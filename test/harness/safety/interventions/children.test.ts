import assert from 'node:assert/strict'
import { test } from 'node:test'
import { registryAction } from '../../../../src/harness/safety/interventions/registry-actions.ts'
import { CALL_NANO, directive, executes, openWorkshop, says } from '../workshop.ts'
import type { ScenarioFunction } from '../../../../src/scripted-model/scenario.ts'

function cost(usd: string, extra = ''): string {
  return `<max_turns>20</max_turns><on_exceeded>stop</on_exceeded>${usd === '' ? '' : `<max_cost_usd>${usd}</max_cost_usd>`}${extra}`
}

/** Which directive a request belongs to. */
function isChild(conversation: Parameters<ScenarioFunction>[0]): boolean {
  return conversation.firstUserText.includes('<directive name="child"')
}

/** Spawns one child, waits for it, then reports. */
const delegating: ScenarioFunction = (conversation) => {
  if (isChild(conversation)) return says('The child is done.')
  if (conversation.turn === 1) return executes(['thread_directive', { directive_name: 'child' }])
  if (conversation.turn > 2) return says('All done.')
  const spawned = JSON.parse(conversation.results[0]?.content ?? '{}') as { thread_id: string }
  return executes(['wait_thread', { thread_id: spawned.thread_id }])
}

test('a thread spawns a child, waits for it without a turn, and reads its result', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { parent: directive('parent', cost('1')), child: directive('child', cost('0.1')) },
    scenario: delegating,
  })
  const row = await shop.run('parent')
  const parent = row.status === 'waiting' ? await shop.until(row.thread_id, 'completed', 'error') : row
  assert.equal(parent.end_reason, 'done', JSON.stringify([parent.result, shop.problems]))
  const [child] = shop.threads.list({ parent_thread_id: parent.thread_id })
  assert.deepEqual([child?.status, child?.depth, child?.root_thread_id], ['completed', 1, parent.thread_id])
  assert.match(shop.results(parent.thread_id)[1] ?? '', /"settled":true.*The child is done\./)
  assert.equal(shop.events(parent.thread_id, 'turn_start').length, 3)
})

test('children that end one after the other add no turn to the thread that waits for all of them', async (t) => {
  const shop = await openWorkshop(t, {
    directives: {
      parent: directive('parent', cost('')),
      child: directive('child', cost('')),
      other: directive('other', cost('')),
    },
    scenario: (conversation) => {
      if (isChild(conversation)) return says('The child is done.')
      if (conversation.firstUserText.includes('<directive name="other"'))
        return conversation.turn < 4 ? executes(['read_file', { path: `${conversation.turn}.txt` }]) : says('The other is done.')
      if (conversation.turn === 1)
        return executes(['thread_directive', { directive_name: 'child' }], ['thread_directive', { directive_name: 'other' }])
      if (conversation.turn > 2) return says('All done.')
      const ids = conversation.results.map(({ content }) => (JSON.parse(content) as { thread_id: string }).thread_id)
      return executes(['wait_thread', { thread_ids: ids }])
    },
  })
  const id = await shop.spawn('parent')
  const row = await shop.until(id, 'completed', 'error')
  assert.deepEqual([row.end_reason, row.turn], ['done', 3])
  assert.equal(shop.events(id, 'turn_start').length, 3)
})

test("a child's budget is escrowed from its parent's and what it leaves returns", async (t) => {
  const shop = await openWorkshop(t, {
    directives: { parent: directive('parent', cost('1')), child: directive('child', cost('0.1')) },
    scenario: delegating,
  })
  const { thread_id: id } = await shop.run('parent')
  await shop.until(id, 'completed')
  const ledger = shop.store
    .statement('SELECT granted_nano, spent_nano, reserved_nano, escrow_nano FROM ledger WHERE thread_id = ?')
    .get(id)
  assert.deepEqual({ ...ledger }, { granted_nano: 1_000_000_000, spent_nano: 4 * CALL_NANO, reserved_nano: 0, escrow_nano: 0 })
})

test('a child that asks for more than its parent has is not spawned', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { parent: directive('parent', cost('0.05')), child: directive('child', cost('0.1')) },
    scenario: (conversation) =>
      conversation.turn === 1 ? executes(['thread_directive', { directive_name: 'child' }]) : says('No child.'),
  })
  const row = await shop.run('parent')
  assert.match(shop.results(row.thread_id)[0] ?? '', /SPAWN_FAILED.*BUDGET_EXCEEDED/s)
  assert.equal(shop.threads.list({ parent_thread_id: row.thread_id }).length, 0)
})

test('an uncapped child ends when the cap of its parent binds, whatever its own on_exceeded says', async (t) => {
  const shop = await openWorkshop(t, {
    directives: {
      parent: directive('parent', cost('0.02')),
      child: directive('child', '<max_turns>50</max_turns><on_exceeded>warn</on_exceeded><max_cost_usd>0.001</max_cost_usd>'),
    },
    files: { 'a.txt': 'x\n'.repeat(200) },
    scenario: (conversation, request) =>
      isChild(conversation)
        ? executes(['read_file', { path: 'a.txt', offset_line: conversation.turn }])
        : delegating(conversation, request),
  })
  const { thread_id: id } = await shop.run('parent')
  await shop.until(id, 'completed', 'error')
  const [child] = shop.threads.list({ parent_thread_id: id })
  assert.deepEqual(
    [child?.end_reason, (child?.result as { binding_thread_id?: string } | undefined)?.binding_thread_id],
    ['cost_exceeded', id],
  )
  const spent = shop.store.statement('SELECT spent_nano FROM ledger WHERE thread_id = ?').get(id)?.['spent_nano']
  assert.ok(Number(spent) <= 20_000_000, String(spent))
})

test('max_spawns refuses the spawn and not the work', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { parent: directive('parent', cost('1', '<max_spawns>1</max_spawns>')), child: directive('child', cost('0.1')) },
    scenario: (conversation) => {
      if (isChild(conversation)) return says('Done.')
      const spawn = ['thread_directive', { directive_name: 'child' }] as const
      return conversation.turn === 1 ? executes(spawn, spawn) : says('Done.')
    },
  })
  const row = await shop.run('parent')
  assert.equal(row.end_reason, 'done')
  const results = shop.results(row.thread_id).toSorted()
  assert.equal(results.filter((text) => text.includes('"status":"spawned"')).length, 1)
  assert.equal(results.filter((text) => text.includes('max_spawns=1')).length, 1)
})

test('a spawn that is repeated by the same step gives the same child', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { parent: directive('parent', cost('1')), child: directive('child', cost('0.1')) },
    scenario: () => ({ reply: { text: 'never' }, fault: { kind: 'stall', after_events: 1 } }),
  })
  const parent = await shop.spawn('parent')
  const context = { ...(await shop.asThread(parent)), __idempotency_key: `${parent}/1/tool-0-thread_directive` }
  const first = await shop.call('thread_directive', { directive_name: 'child' }, context)
  const second = await shop.call('thread_directive', { directive_name: 'child' }, context)
  assert.ok(first.success && second.success)
  assert.equal((second['result'] as { thread_id: string }).thread_id, (first['result'] as { thread_id: string }).thread_id)
  assert.equal(shop.threads.list({ parent_thread_id: parent }).length, 1)
  await shop.call('cancel_thread', { thread_id: parent, mode: 'now' })
  await shop.until(parent, 'cancelled')
})

test('a thread may not act on a thread that it did not spawn', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { one: directive('one'), other: directive('other') },
    scenario: () => ({ reply: { text: 'never' }, fault: { kind: 'stall', after_events: 1 } }),
  })
  const one = await shop.asThread(await shop.spawn('one'))
  const other = await shop.spawn('other')
  for (const [tool, parameters] of [
    ['read_transcript', {}],
    ['wait_thread', {}],
    ['pause_thread', {}],
    ['resume_thread', {}],
    ['cancel_thread', {}],
    ['inject_message', { content: 'hi' }],
  ] as const) {
    const answer = await shop.call(tool, { ...parameters, thread_id: other }, one)
    assert.match(JSON.stringify(answer), /PERMISSION_DENIED.*not one of its descendants/, tool)
  }
  const context = { projectPath: shop.projectPath, ...one }
  for (const request of [
    { action: 'get_status' },
    { action: 'log_event', event_type: 'note' },
    { action: 'update_status', status: 'killed' },
  ] as const) {
    await assert.rejects(registryAction(shop.services, context, { ...request, thread_id: other }), { code: 'PERMISSION_DENIED' })
  }
  const query = await registryAction(shop.services, context, { action: 'query' })
  assert.deepEqual(query, { success: true, threads: [] })
})

test('the registry itself is closed to directives of the project, whatever tools they name', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { one: directive('one') },
    scenario: ({ turn }) => (turn === 1 ? executes(['thread_registry', { action: 'query' }]) : says('Done.')),
  })
  const row = await shop.run('one')
  assert.deepEqual(shop.events(row.thread_id, 'permission_denied')[0]?.payload['missing'], ['registry.read', 'registry.write'])
})

test('a wait that is over before the child is says so, and the parent goes on', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { parent: directive('parent', cost('1')), child: directive('child', cost('0.1')) },
    scenario: (conversation) => {
      if (isChild(conversation)) return { reply: { text: 'never' }, fault: { kind: 'stall', after_events: 1 } }
      if (conversation.turn === 1) return executes(['thread_directive', { directive_name: 'child' }])
      if (conversation.turn > 2) return says('Left it alone.')
      const spawned = JSON.parse(conversation.results[0]?.content ?? '{}') as { thread_id: string }
      return executes(['wait_thread', { thread_id: spawned.thread_id, timeout_seconds: 0.05 }])
    },
  })
  const id = await shop.spawn('parent')
  const parent = await shop.until(id, 'completed', 'error')
  assert.equal(parent.end_reason, 'done', JSON.stringify(parent.result))
  assert.match(shop.results(id)[1] ?? '', /"settled":false/)
  const [child] = shop.threads.list({ parent_thread_id: id })
  await shop.until(child?.thread_id ?? '', 'cancelled')
})

test('twenty children at once never spend more than the cap above them', async (t) => {
  const spawns = Array.from({ length: 20 }, () => ['thread_directive', { directive_name: 'child' }] as const)
  const shop = await openWorkshop(t, {
    directives: { parent: directive('parent', cost('0.1')), child: directive('child', cost('')) },
    files: { 'a.txt': 'x\n'.repeat(200) },
    scenario: (conversation) => {
      if (isChild(conversation)) return executes(['read_file', { path: 'a.txt', offset_line: conversation.turn }])
      if (conversation.turn === 1) return executes(...spawns)
      const ids = conversation.results.slice(0, 20).map(({ content }) => (JSON.parse(content) as { thread_id: string }).thread_id)
      return conversation.turn === 2 ? executes(['wait_thread', { thread_ids: ids }]) : says('Done.')
    },
  })
  const id = await shop.spawn('parent')
  await shop.until(id, 'completed', 'error')
  const rows = shop.threads.list({ root_thread_id: id })
  assert.equal(rows.length, 21)
  for (const row of rows) await shop.until(row.thread_id, 'completed', 'error', 'cancelled')
  const ledger = shop.store.statement('SELECT spent_nano, reserved_nano, escrow_nano FROM ledger WHERE thread_id = ?').get(id)
  const total = shop.threads.list({ root_thread_id: id }).reduce((sum, row) => sum + Number(row.total_usage['cost_nano']), 0)
  assert.deepEqual({ ...ledger }, { spent_nano: total, reserved_nano: 0, escrow_nano: 0 })
  assert.ok(total <= 100_000_000 && total > 30_000_000, String(total))
})
