import assert from 'node:assert/strict'
import test from 'node:test'
import { setImmediate as nextTick } from 'node:timers/promises'
import type { Next, RunTurn, Runner } from '../../../src/threads/engine.ts'
import { readStart } from '../../../src/threads/engines/live-thread.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import type { ThreadRow, ThreadsClient } from '../../../src/threads/threads-client.ts'
import { bench, DONE, ENGINES, poll, receive, request, runner, signal } from '../fixture.ts'

const handTo = (threadId: string, options = {}): Next => ({
  do: 'done',
  status: 'completed',
  endReason: 'done',
  result: 'handed on',
  successor: { threadId, initialMessage: `Go on, ${threadId}.`, options },
})

/** What each thread does, by its id; anything else waits for a person. */
function acting(acts: Readonly<Record<string, RunTurn>>, change: Partial<Runner> = {}): Runner {
  return runner((context, state) => {
    const act = acts[context.threadId]
    return act === undefined ? Promise.resolve([state, { do: 'wait', reason: 'approval' }]) : act(context, state)
  }, change)
}

const hand =
  (threadId: string, options = {}): RunTurn =>
  async (_context, state) => [state, handTo(threadId, options)]

const end: RunTurn = async (context, state) => [state, { ...DONE, result: `done by ${context.threadId}` } as Next]

/** Spends `nano` in a step, then does what comes next. */
const spend =
  (nano: number, next: RunTurn): RunTurn =>
  async (context, state) => {
    await context.step('model', { effect: 'idempotent', timeoutMs: 1_000, reserveNano: nano }, async () => ({
      value: 1,
      commit: { settleNano: nano, usage: { cost_nano: nano } },
    }))
    return next(context, state)
  }

/** Waits for its children and ends when all of them have. */
const waitForChildren: RunTurn = async (context, state) => {
  const open = context.children().filter(({ status }) => !['completed', 'error', 'cancelled'].includes(status))
  return [state, open.length > 0 || context.children().length === 0 ? { do: 'wait', reason: 'children', idle: true } : DONE]
}

/** Waits until this thread is there and in one of these statuses. */
const reach = (client: ThreadsClient, threadId: string, ...statuses: ThreadRow['status'][]): Promise<unknown> =>
  poll(
    () => client.list().find((row) => row.thread_id === threadId)?.status,
    (status) => status !== undefined && statuses.includes(status),
  )

const account = (store: Store, threadId: string): unknown[] => {
  const row = store.statement('SELECT * FROM ledger WHERE thread_id = ?').get(threadId) ?? {}
  return [row['granted_nano'], row['spent_nano'], row['escrow_nano'], row['closed']]
}

const signalsTo = (store: Store, threadId: string, kind: string): { readonly [field: string]: unknown }[] =>
  store
    .statement('SELECT body_json FROM signals WHERE thread_id = ? AND kind = ? ORDER BY seq')
    .all(threadId, kind)
    .map((row) => JSON.parse(String(row['body_json'])))

for (const kind of ENGINES) {
  test(`${kind}: the thread that takes over has the old one's place, limits and what is left of its money`, async (t) => {
    const { client, store, until } = bench(
      t,
      acting({ p: waitForChildren, a: spend(300, hand('a2', { model: 'm' })), a2: spend(100, end) }),
      { kind },
    )
    await client.spawn(request('p', { grantedNano: 5_000, maxSpawns: 1 }))
    const change = { grantedNano: 1_000, maxSpawns: 4, maxDepth: 2, maxLive: 3, costBudget: { max_turns: 9 } } as const
    await client.spawn(request('a', { parentThreadId: 'p', ...change, permissionContext: { may: 'read' }, inputs: { x: 1 } }))
    await until('p', 'completed')
    const [old, row] = [client.get('a'), client.get('a2')]
    assert.deepEqual([old.status, old.end_reason, old.continued_by, old.result], ['completed', 'done', 'a2', 'handed on'])
    assert.deepEqual([row.status, row.chain_id, row.continues], ['completed', 'a', { thread_id: 'a', how: 'handoff' }])
    for (const field of ['directive_id', 'harness', 'parent_thread_id', 'root_thread_id', 'depth', 'guarantee'] as const)
      assert.equal(row[field], old[field], field)
    assert.deepEqual([row.cost_budget, row.permission_context], [{ max_turns: 9 }, { may: 'read' }])
    const start = readStart(store, 'a2')
    assert.deepEqual(
      [start?.grantedNano, start?.initialMessage, start?.options, start?.inputs, start?.maxSpawns, start?.maxDepth],
      [700, 'Go on, a2.', { model: 'm' }, { x: 1 }, 4, 2],
    )
    assert.deepEqual(client.messages('a2'), [])
    assert.equal(store.statement("SELECT max_live FROM threads WHERE thread_id = 'a2'").get()?.['max_live'], 3)
    assert.deepEqual(account(store, 'a2'), [700, 100, 0, 1])
    assert.deepEqual(account(store, 'p'), [5_000, 400, 0, 1])
    assert.deepEqual(client.events('a2')[0]?.payload['continues'], { thread_id: 'a', how: 'handoff', through_seq: 0 })
    assert.equal(client.events('a').at(-1)?.payload['continued_by'], 'a2')
  })

  test(`${kind}: to its parent a line of threads is one child, which ends once, with the last of them`, async (t) => {
    const { client, store, until } = bench(t, acting({ p: waitForChildren, a: hand('a2'), a2: hand('a3'), a3: end }), { kind })
    await client.spawn(request('p'))
    await client.spawn(request('a', { parentThreadId: 'p' }))
    await until('p', 'completed')
    assert.deepEqual(signalsTo(store, 'p', 'child_done'), [
      { thread_id: 'a', continued_in: 'a3', status: 'completed', end_reason: 'done', result: 'done by a3' },
    ])
    assert.deepEqual(
      [client.newestOf('a').thread_id, client.newestOf('a2').thread_id, client.newestOf('a3').thread_id],
      ['a3', 'a3', 'a3'],
    )
  })
}

test('who waits for a thread waits for the one that has its work, and is answered with that', async (t) => {
  const { client } = bench(t, acting({ a: hand('a2'), a2: hand('a3') }), { kind: 'memory' })
  await client.spawn(request('a'))
  const [parked] = await client.wait(['a'], { timeoutMs: 10_000 })
  assert.deepEqual([parked?.thread_id, parked?.status], ['a3', 'waiting'])
  await client.signal('a3', signal('cancel'))
  await reach(client, 'a3', 'cancelled')
  const [ended] = await client.wait(['a'], { timeoutMs: 10_000 })
  assert.deepEqual([ended?.thread_id, ended?.status], ['a3', 'cancelled'])
})

test('a thread knows its children by the ids it spawned, and their state by who has their work', async (t) => {
  let seen: unknown = null
  const script = acting({
    a: hand('a2'),
    p: async (context, state) => {
      seen = context.children()
      return [state, { do: 'wait', reason: 'timer' }]
    },
  })
  const { client, until } = bench(t, script, { kind: 'memory' })
  await client.spawn(request('p'))
  await until('p', 'waiting')
  await client.spawn(request('a', { parentThreadId: 'p' }))
  await reach(client, 'a2', 'waiting')
  await client.signal('p', signal('resume'))
  await poll(
    () => client.get('p').turn,
    (turn) => turn === 2,
  )
  assert.deepEqual(seen, [{ threadId: 'a', status: 'waiting', waitReason: 'approval' }])
})

test('the children of a thread are still those of the one that took over from it', async (t) => {
  const go = Promise.withResolvers<void>()
  const seen: unknown[] = []
  const script = acting({
    a: async (_context, state) => {
      await go.promise
      return [state, handTo('a2')]
    },
    c1: hand('c2'),
    a2: async (context, state) => {
      seen.push(...context.children())
      return [state, DONE]
    },
    d: end,
  })
  const { client, until } = bench(t, script, { kind: 'memory' })
  await client.spawn(request('a'))
  await client.spawn(request('c1', { parentThreadId: 'a', onParentEnd: 'detach' }))
  await client.spawn(request('d', { parentThreadId: 'a' }))
  await reach(client, 'c2', 'waiting')
  await until('d', 'completed')
  go.resolve()
  await reach(client, 'a2', 'completed')
  assert.deepEqual(seen, [
    { threadId: 'c1', status: 'waiting', waitReason: 'approval' },
    { threadId: 'd', status: 'completed', waitReason: null },
  ])
})

test('an id that is taken gets a suffix, and the work is not lost', async (t) => {
  const { client, until } = bench(t, acting({ a: hand('taken'), taken_3: end }), { kind: 'memory' })
  await client.spawn(request('taken'))
  await client.spawn(request('taken_2'))
  await client.spawn(request('a'))
  assert.equal((await until('a', 'completed')).continued_by, 'taken_3')
  await reach(client, 'taken_3', 'completed')
})

test('a thread without a budget of its own hands on its place under the budget above', async (t) => {
  const { client, store } = bench(t, acting({ a: spend(300, hand('a2')), a2: spend(200, end) }), { kind: 'memory' })
  await client.spawn(request('p', { grantedNano: 1_000 }))
  await client.spawn(request('a', { parentThreadId: 'p' }))
  await reach(client, 'a2', 'completed')
  assert.equal(readStart(store, 'a2')?.grantedNano, null)
  assert.deepEqual(account(store, 'p'), [1_000, 500, 0, 0])
})

test('handing on neither counts as a spawn nor makes spawns free again', async (t) => {
  const go = Promise.withResolvers<void>()
  const script = acting({
    root: async (_context, state) => {
      await go.promise
      return [state, handTo('root2')]
    },
    c: end,
  })
  const { client, store, until } = bench(t, script, { kind: 'memory' })
  await client.spawn(request('root', { maxSpawns: 2 }))
  await client.spawn(request('c', { parentThreadId: 'root' }))
  await until('c', 'completed')
  go.resolve()
  await reach(client, 'root2', 'waiting')
  await client.spawn(request('d', { parentThreadId: 'root2' }))
  await assert.rejects(client.spawn(request('e', { parentThreadId: 'root2' })), {
    code: 'SPAWN_FAILED',
    message: /root2 allows max_spawns=2/,
  })
  assert.equal(store.statement("SELECT spawned_below FROM threads WHERE thread_id = 'root2'").get()?.['spawned_below'], 2)
})

test('what was asked of a thread while it handed on is asked of the one that took over, once and in order', async (t) => {
  const go = Promise.withResolvers<void>()
  const { client, until } = bench(
    t,
    acting(
      {
        a: async (context, state) => {
          await context.step('work', { effect: 'pure', timeoutMs: 5_000 }, async () => {
            await go.promise
            return { value: 1 }
          })
          return [state, handTo('a2')]
        },
        a2: end,
      },
      { receive },
    ),
    { kind: 'memory' },
  )
  await client.spawn(request('a'))
  await until('a', 'running')
  for (const n of [1, 2]) await client.signal('a', signal('inject', { content: `message ${n}` }, `inject-${n}`))
  await client.signal('a', signal('pause'))
  go.resolve()
  await reach(client, 'a2', 'paused')
  assert.deepEqual(
    client.messages('a2').map(({ content }) => content),
    [{ content: 'message 1' }, { content: 'message 2' }],
  )
  assert.deepEqual(client.messages('a'), [])
  await client.signal('a2', signal('resume'))
  await reach(client, 'a2', 'completed')
})

test('a cancel that came before the end stops the work: nothing takes over', async (t) => {
  const go = Promise.withResolvers<void>()
  const { client, until } = bench(
    t,
    acting({
      a: async (context, state) => {
        await context.step('work', { effect: 'pure', timeoutMs: 5_000 }, async () => {
          await go.promise
          return { value: 1 }
        })
        return [state, handTo('a2')]
      },
    }),
    { kind: 'memory' },
  )
  await client.spawn(request('a'))
  await until('a', 'running')
  await client.signal('a', signal('cancel', { mode: 'graceful' }))
  go.resolve()
  await until('a', 'cancelled')
  await nextTick()
  assert.deepEqual(
    client.list().map(({ thread_id: id }) => id),
    ['a'],
  )
})

test('a cancel that arrives in the transaction of the handoff reaches the thread that took over', async (t) => {
  const go = Promise.withResolvers<void>()
  const { client, until } = bench(
    t,
    acting({
      a: async (_context, state) => {
        await go.promise
        // The boundary reads its signals in this tick; the cancel is written in the same group commit, before it.
        void client.signal('a', signal('cancel'))
        return [state, handTo('a2')]
      },
    }),
    { kind: 'memory' },
  )
  await client.spawn(request('a'))
  await until('a', 'running')
  go.resolve()
  await poll(
    () => client.newestOf('a'),
    ({ status }) => status === 'cancelled',
  )
  assert.deepEqual([client.get('a').status, client.get('a').continued_by], ['completed', 'a2'])
})

test('a cancel of the parent reaches the thread that has its child’s work', async (t) => {
  const { client, until } = bench(t, acting({ a: hand('a2') }), { kind: 'memory' })
  await client.spawn(request('p'))
  await client.spawn(request('a', { parentThreadId: 'p' }))
  await reach(client, 'a2', 'waiting')
  await client.signal('p', signal('cancel'))
  await until('p', 'cancelled')
  await reach(client, 'a2', 'cancelled')
})

test('a detached thread hands on under a parent that has ended, with its money', async (t) => {
  const go = Promise.withResolvers<void>()
  const script = acting({
    p: end,
    a: spend(100, async (_context, state) => {
      await go.promise
      return [state, handTo('a2')]
    }),
    a2: spend(200, end),
  })
  const { client, store, until } = bench(t, script, { kind: 'memory' })
  await client.spawn(request('root', { grantedNano: 1_000 }))
  await client.spawn(request('p', { parentThreadId: 'root', grantedNano: 800 }))
  await client.spawn(request('a', { parentThreadId: 'p', grantedNano: 500, onParentEnd: 'detach' }))
  await until('p', 'completed')
  assert.deepEqual(account(store, 'root'), [1_000, 0, 500, 0])
  go.resolve()
  await reach(client, 'a2', 'completed')
  assert.deepEqual(account(store, 'root'), [1_000, 300, 0, 0])
  assert.deepEqual(account(store, 'a2'), [400, 200, 0, 1])
})

test('a retry of a thread whose work goes on elsewhere names the thread that has it', async (t) => {
  const { client } = bench(t, acting({ a: hand('a2') }), { kind: 'memory' })
  await client.spawn(request('a'))
  await reach(client, 'a2', 'waiting')
  await assert.rejects(client.spawn(request('b', { continues: { threadId: 'a', how: 'retry', throughSeq: 0 } })), {
    code: 'ILLEGAL_TRANSITION',
    message: /a2, which has its work now, is waiting/,
  })
})
