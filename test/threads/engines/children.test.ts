import assert from 'node:assert/strict'
import test from 'node:test'
import type { Next, RunTurn, Runner } from '../../../src/threads/engine.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import { bench, DONE, ENGINES, poll, request, runner, signal } from '../fixture.ts'

const wait =
  (reason: Extract<Next, { do: 'wait' }>['reason']): RunTurn =>
  async (_context, state) => [state, { do: 'wait', reason }]

const done: RunTurn = async (_context, state) => [state, DONE]

function acting(acts: Readonly<Record<string, RunTurn>>): Runner {
  return runner((context, state) => (acts[context.threadId] ?? done)(context, state))
}

const heard = (store: Store, threadId: string, kind: string): unknown[] =>
  store
    .statement('SELECT body_json FROM signals WHERE thread_id = ? AND kind = ? ORDER BY seq')
    .all(threadId, kind)
    .map((row) => JSON.parse(String(row['body_json'])))

const escrowOf = (store: Store, threadId: string): unknown =>
  store.statement('SELECT escrow_nano FROM ledger WHERE thread_id = ?').get(threadId)?.['escrow_nano']

for (const kind of ENGINES) {
  test(`${kind}: a child that comes to wait for a person lets its parent look, once for each time`, async (t) => {
    const looks: unknown[] = []
    const parent: RunTurn = async (context, state) => {
      looks.push(context.children().map(({ status, waitReason }) => [status, waitReason]))
      return [state, { do: 'wait', reason: 'children' }]
    }
    const { client, store, until } = bench(t, acting({ p: parent, c: wait('approval') }), { kind })
    const looked = (times: number): Promise<number> =>
      poll(
        () => client.get('p').turn,
        (turn) => turn === times,
      )
    await client.spawn(request('p'))
    await looked(1)
    await client.spawn(request('c', { parentThreadId: 'p' }))
    await looked(2)
    await client.signal('c', signal('inject', { content: 'still here?' }))
    await poll(
      () => client.messages('c').length,
      (count) => count === 1,
    )
    await client.signal('c', signal('pause'))
    await looked(3)
    await until('p', 'waiting')
    assert.deepEqual(looks, [[], [['waiting', 'approval']], [['paused', null]]])
    assert.deepEqual(heard(store, 'p', 'child_waiting'), [
      { thread_id: 'c', status: 'waiting', wait_reason: 'approval' },
      { thread_id: 'c', status: 'paused', wait_reason: null },
    ])
  })
}

test('a child that waits for something else than a person says nothing', async (t) => {
  const { client, store, until } = bench(t, acting({ p: wait('children'), c: wait('timer'), d: wait('children') }), {
    kind: 'memory',
  })
  await client.spawn(request('p'))
  for (const id of ['c', 'd']) {
    await client.spawn(request(id, { parentThreadId: 'p' }))
    await until(id, 'waiting')
  }
  assert.deepEqual(heard(store, 'p', 'child_waiting'), [])
})

test('a parent that waits for a time goes on waiting when its child comes to wait for a person', async (t) => {
  const { client, store, until } = bench(t, acting({ p: wait('timer'), c: wait('escalated') }), { kind: 'memory' })
  await client.spawn(request('p'))
  await until('p', 'waiting')
  await client.spawn(request('c', { parentThreadId: 'p' }))
  await until('c', 'waiting')
  await poll(
    () => store.statement("SELECT COUNT(*) AS n FROM signals WHERE thread_id = 'p' AND applied_turn = 1").get()?.['n'],
    (count) => count === 1,
  )
  const row = await until('p', 'waiting')
  assert.deepEqual([row.turn, row.wait_reason], [1, 'timer'])
})

test('the end of a thread cancels what it spawned, but not what it detached, nor anything below that', async (t) => {
  const go = Promise.withResolvers<void>()
  const parent: RunTurn = async (_context, state) => {
    await go.promise
    return [state, DONE]
  }
  const acts = { p: parent, kept: wait('approval'), below: wait('approval'), orphan: wait('approval') }
  const { client, until } = bench(t, acting(acts), { kind: 'memory' })
  await client.spawn(request('p'))
  await client.spawn(request('kept', { parentThreadId: 'p', onParentEnd: 'detach' }))
  await client.spawn(request('below', { parentThreadId: 'kept' }))
  await client.spawn(request('orphan', { parentThreadId: 'p' }))
  for (const id of ['kept', 'below', 'orphan']) await until(id, 'waiting')
  go.resolve()
  await until('orphan', 'cancelled')
  assert.deepEqual(
    [client.get('p'), client.get('kept'), client.get('below')].map(({ status }) => status),
    ['completed', 'waiting', 'waiting'],
  )
  assert.equal(client.get('kept').on_parent_end, 'detach')
  await client.signal('kept', signal('cancel'))
  await until('below', 'cancelled')
})

test('a detached thread below a budget needs one of its own; where nothing is capped it needs none', async (t) => {
  const { client } = bench(t, acting({ p: wait('children'), free: wait('children') }), { kind: 'memory' })
  await client.spawn(request('p', { grantedNano: 1_000 }))
  await client.spawn(request('free'))
  const detached = { onParentEnd: 'detach', directiveId: 'watch' } as const
  const refused = client.spawn(request('c', { parentThreadId: 'p', ...detached }))
  await assert.rejects(refused, (error: { code: string; context: { suggestion: string; facts: unknown } }) => {
    assert.equal(error.code, 'SPAWN_FAILED')
    assert.match(error.context.suggestion, /Give the directive watch a max_cost_usd/)
    assert.deepEqual(error.context.facts, { directive_name: 'watch', parent_thread_id: 'p' })
    return true
  })
  await client.spawn(request('d', { parentThreadId: 'p', grantedNano: 100, ...detached }))
  await client.spawn(request('e', { parentThreadId: 'free', ...detached }))
})

test('the grant of a detached thread stays held above its ended parent until it ends, and the rest comes back then', async (t) => {
  const go = Promise.withResolvers<void>()
  const spender: RunTurn = async (context, state) => {
    await go.promise
    await context.step('model', { effect: 'idempotent', timeoutMs: 1_000, reserveNano: 300 }, async () => ({
      value: 1,
      commit: { settleNano: 250, usage: { cost_nano: 250 } },
    }))
    return [state, DONE]
  }
  const parent: RunTurn = async (context, state) => [
    state,
    context.children().length === 0 ? { do: 'wait', reason: 'timer' } : DONE,
  ]
  const { client, store, until } = bench(t, acting({ root: wait('children'), p: parent, c: spender }), { kind: 'memory' })
  await client.spawn(request('root', { grantedNano: 1_000 }))
  await client.spawn(request('p', { parentThreadId: 'root', grantedNano: 700 }))
  await until('p', 'waiting')
  await client.spawn(request('c', { parentThreadId: 'p', grantedNano: 400, onParentEnd: 'detach' }))
  await client.signal('p', signal('resume'))
  await until('p', 'completed')
  assert.equal(escrowOf(store, 'root'), 400)
  await assert.rejects(client.spawn(request('greedy', { parentThreadId: 'root', grantedNano: 601 })), { code: 'BUDGET_EXCEEDED' })
  go.resolve()
  await until('c', 'completed')
  assert.equal(escrowOf(store, 'root'), 0)
  await client.spawn(request('late', { parentThreadId: 'root', grantedNano: 750 }))
})

test('a detached thread whose parent has ended tells nobody that it waits or ends', async (t) => {
  const { client, store, until } = bench(t, acting({ c: wait('approval') }), { kind: 'memory' })
  const started = client.spawn(request('p'))
  const spawned = client.spawn(request('c', { parentThreadId: 'p', onParentEnd: 'detach' }))
  await Promise.all([started, spawned])
  await until('p', 'completed')
  await until('c', 'waiting')
  await client.signal('c', signal('cancel'))
  await until('c', 'cancelled')
  assert.deepEqual(heard(store, 'p', 'child_done'), [])
})
