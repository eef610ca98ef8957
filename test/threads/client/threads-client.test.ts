import assert from 'node:assert/strict'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { createThreadsClient } from '../../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import type { Engine } from '../../../src/threads/engine.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { atEnd, bench, counting, DONE, poll, request, runner, signal, tempFolder } from '../fixture.ts'

const waiting = runner(async (_context, state) => [state, { do: 'wait', reason: 'approval' }])

/** A client whose threads nobody runs. */
function alone(t: TestContext): ThreadsClient {
  const client = createThreadsClient({
    projectPath: '/nowhere',
    store: openStore({ path: ':memory:' }),
    ownsStore: true,
    clock: systemClock,
    wake: async () => undefined,
    watchLive: async () => undefined,
  })
  atEnd(t, () => client.close())
  return client
}

test('an id that is taken is a collision that names it, and nothing of the second spawn is written', async (t) => {
  const client = alone(t)
  await client.spawn(request('a', { directiveId: 'first' }))
  await assert.rejects(
    client.spawn(request('a', { directiveId: 'second' })),
    (error: { code: string; context: { facts: unknown } }) => {
      assert.deepEqual([error.code, error.context.facts], ['THREAD_ID_COLLISION', { thread_id: 'a' }])
      return true
    },
  )
  assert.deepEqual(
    client.list().map(({ directive_id: directive }) => directive),
    ['first'],
  )
})

test('an id that is not sanitized is refused before anything is written', async (t) => {
  const client = alone(t)
  for (const id of ['a b', '../a', '', 'a/b']) await assert.rejects(client.spawn(request(id)), { code: 'INVALID_THREAD_ID' })
  assert.deepEqual(client.list(), [])
})

test('fifty spawns with one id give one thread', async (t) => {
  const client = alone(t)
  const spawns = await Promise.allSettled(Array.from({ length: 50 }, () => client.spawn(request('a'))))
  assert.equal(spawns.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('asking for an unknown thread is an error everywhere', async (t) => {
  const client = alone(t)
  const unknown = { code: 'THREAD_NOT_FOUND' }
  assert.throws(() => client.get('nobody'), unknown)
  assert.throws(() => client.events('nobody'), unknown)
  assert.throws(() => client.messages('nobody'), unknown)
  await assert.rejects(client.signal('nobody', signal('pause')), unknown)
  await assert.rejects(client.logEvent('nobody', 'x', {}), unknown)
  await assert.rejects(client.wait(['nobody'], { timeoutMs: 1 }), unknown)
  await assert.rejects(client.spawn(request('child', { parentThreadId: 'nobody' })), unknown)
})

test('threads are listed by filter, order and limit, and a bad query is refused', async (t) => {
  const client = alone(t)
  for (const id of ['a', 'b', 'c']) await client.spawn(request(id, { directiveId: id === 'b' ? 'other' : 'work' }))
  const ids = (query: Parameters<ThreadsClient['list']>[0]): string[] => client.list(query).map(({ thread_id: id }) => id)
  assert.deepEqual(ids({}), ['c', 'b', 'a'])
  assert.deepEqual(ids({ order_by: 'created_at', limit: 2 }), ['a', 'b'])
  assert.deepEqual(ids({ directive_id: 'other' }), ['b'])
  assert.deepEqual(ids({ status: 'running' }), [])
  assert.deepEqual(ids({ created_after: '2999-01-01' }), [])
  for (const limit of [0, 1_001, 1.5]) assert.throws(() => client.list({ limit }), { code: 'INVALID_REQUEST' })
  // @ts-expect-error: what a caller without types may send
  assert.throws(() => client.list({ order_by: 'status; DROP TABLE threads' }), { code: 'INVALID_REQUEST' })
})

test('a signal that the status does not allow is refused, unless its id was taken already', async (t) => {
  const { client, until } = bench(t, waiting, { kind: 'memory' })
  await client.spawn(request('a'))
  await until('a', 'waiting')
  await client.signal('a', signal('pause'))
  await until('a', 'paused')
  await assert.rejects(client.signal('a', signal('pause', {}, 'second')), { code: 'ILLEGAL_TRANSITION' })
  await client.signal('a', signal('pause'))
  assert.equal(client.get('a').status, 'paused')
})

test('a resume that follows a pause on its way is taken, whatever the row still says', async (t) => {
  const client = alone(t)
  await client.spawn(request('a'))
  await assert.rejects(client.signal('a', signal('resume')), { code: 'ILLEGAL_TRANSITION' })
  await client.signal('a', signal('pause'))
  await client.signal('a', signal('resume'))
})

test('money that does not fit refuses the whole signal', async (t) => {
  const { client, until, store } = bench(t, waiting, { kind: 'memory' })
  await client.spawn(request('root', { grantedNano: 100 }))
  await client.spawn(request('a', { parentThreadId: 'root', grantedNano: 60 }))
  await until('a', 'waiting')
  await assert.rejects(client.signal('a', signal('resume', { add_usd_nano: 41 })), { code: 'BUDGET_EXCEEDED' })
  assert.equal(store.statement("SELECT COUNT(*) AS n FROM signals WHERE thread_id = 'a'").get()?.['n'], 0)
  assert.equal(client.get('a').status, 'waiting')
})

test('money of a signal that is sent twice is added once', async (t) => {
  const { client, until, store } = bench(t, waiting, { kind: 'memory' })
  await client.spawn(request('a', { grantedNano: 100 }))
  await until('a', 'waiting')
  await Promise.all([1, 2, 3].map(() => client.signal('a', signal('budget', { add_usd: 0.5 }, 'same'))))
  assert.equal(store.statement('SELECT granted_nano FROM ledger').get()?.['granted_nano'], 500_000_100)
})

test('a wait ends for a thread that needs a person, after its time, and by its signal', async (t) => {
  const { client } = bench(
    t,
    runner(async (context, state) => [state, { do: 'wait', reason: context.threadId === 'person' ? 'approval' : 'children' }]),
    { kind: 'memory' },
  )
  await client.spawn(request('person'))
  await client.spawn(request('children'))
  const [person] = await client.wait(['person'], { timeoutMs: 10_000 })
  assert.equal(person?.status, 'waiting')
  const [children] = await client.wait(['children'], { timeoutMs: 60 })
  assert.notEqual(children?.status, 'completed')
  const stop = new AbortController()
  const aborted = client.wait(['children'], { timeoutMs: 60_000, signal: stop.signal })
  stop.abort()
  await assert.rejects(aborted, { code: 'ABORTED' })
})

test('a wait calls a host for a thread that waits for others, which a killed host may have left, and for none that needs a person', async (t) => {
  const folder = tempFolder(t)
  const { client: inside, until } = bench(
    t,
    runner(async (context, state) => [state, { do: 'wait', reason: context.threadId === 'person' ? 'approval' : 'children' }]),
    { folder },
  )
  for (const id of ['person', 'children']) {
    await inside.spawn(request(id))
    await until(id, 'waiting')
  }
  const woken: string[] = []
  const client = createThreadsClient({
    projectPath: folder,
    store: openStore({ path: `${folder}/.ai/threads/registry.db` }),
    ownsStore: true,
    clock: systemClock,
    wake: async (id) => void woken.push(id),
    watchLive: async () => undefined,
  })
  atEnd(t, () => client.close())
  await client.wait(['person', 'children'], { timeoutMs: 1 })
  assert.deepEqual(woken, ['children'])
})

test('a wait goes on for a thread that somebody has just set going, though its row still says that it waits', async (t) => {
  const { client } = bench(
    t,
    runner(async (_context, state) => [state, state.data['gone_on'] === true ? DONE : { do: 'wait', reason: 'approval' }], {
      receive: (state) => ({ state: { ...state, data: { gone_on: true } } }),
    }),
    { kind: 'memory' },
  )
  await client.spawn(request('a'))
  await client.wait(['a'], { timeoutMs: 10_000 })
  await client.signal('a', signal('resume'))
  assert.equal(client.get('a').status, 'waiting')
  const [row] = await client.wait(['a'], { timeoutMs: 10_000 })
  assert.equal(row?.status, 'completed')
})

test('a wait sees what another process writes', async (t) => {
  const folder = tempFolder(t)
  const host = bench(t, counting(2), { folder })
  const other = openStore({ path: `${folder}/.ai/threads/registry.db` })
  const client = createThreadsClient({
    projectPath: folder,
    store: other,
    ownsStore: true,
    clock: systemClock,
    wake: async (id) => host.engine.notify(id),
    watchLive: async () => undefined,
  })
  atEnd(t, () => client.close())
  await client.spawn(request('a'))
  const [row] = await client.wait(['a'], { timeoutMs: 10_000 })
  assert.equal(row?.status, 'completed')
})

test('the last events come in order, and pages continue after a seq', async (t) => {
  const client = alone(t)
  await client.spawn(request('a'))
  for (let n = 1; n <= 5; n += 1) assert.equal(await client.logEvent('a', 'note', { n }), n + 1)
  assert.deepEqual(
    client.events('a', { last: 2 }).map(({ seq }) => seq),
    [5, 6],
  )
  assert.deepEqual(
    client.events('a', { sinceSeq: 2, limit: 2 }).map(({ seq }) => seq),
    [3, 4],
  )
})

test('a spawn under a thread that is being cancelled is caught, however close', async (t) => {
  const client = alone(t)
  await client.spawn(request('a'))
  const [cancelled, spawned] = await Promise.allSettled([
    client.signal('a', signal('cancel')),
    client.spawn(request('b', { parentThreadId: 'a' })),
  ])
  assert.equal(cancelled.status, 'fulfilled')
  assert.equal(spawned.status === 'rejected' && spawned.reason.code, 'SPAWN_FAILED')
  const other = alone(t)
  await other.spawn(request('a'))
  await Promise.all([other.spawn(request('b', { parentThreadId: 'a' })), other.signal('a', signal('cancel'))])
  await assert.rejects(other.spawn(request('c', { parentThreadId: 'b' })), { code: 'SPAWN_FAILED' })
})

test('cancel works on a thread that is spawning, paused or waiting', async (t) => {
  const gate = Promise.withResolvers<void>()
  const { client, until } = bench(t, async () => (await gate.promise, waiting), { kind: 'memory' })
  await client.spawn(request('spawning'))
  await client.signal('spawning', signal('cancel'))
  gate.resolve()
  await until('spawning', 'cancelled')
  for (const id of ['paused', 'waiting']) {
    await client.spawn(request(id))
    await until(id, 'waiting')
  }
  await client.signal('paused', signal('pause'))
  await until('paused', 'paused')
  for (const id of ['paused', 'waiting']) {
    await client.signal(id, signal('cancel', { mode: 'graceful' }))
    await until(id, 'cancelled')
  }
})

test('an interrupted turn is run again, and the steps that it had recorded are not', async (t) => {
  const ran: string[] = []
  const begun = Promise.withResolvers<void>()
  const history: number[] = []
  const script = runner(async (context, state) => {
    history.push(context.history().length)
    await context.step(
      'first',
      { effect: 'once', timeoutMs: 10_000 },
      async () => (ran.push('first'), { value: 1, commit: { messages: [{ role: 'assistant', content: 'one' }] } }),
    )
    await context.step('second', { effect: 'idempotent', timeoutMs: 10_000 }, ({ signal: stop, attempt }) => {
      ran.push(`second ${attempt}`)
      if (ran.length > 2) return Promise.resolve({ value: 2 })
      begun.resolve()
      return new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason)))
    })
    return [state, DONE]
  })
  const { client, until, engine } = bench(t, script, { kind: 'memory' })
  await client.spawn(request('a'))
  await begun.promise
  engine.interrupt('a')
  const row = await until('a', 'completed')
  assert.deepEqual([row.turn, ran, history], [1, ['first', 'second 1', 'second 1'], [0, 0]])
  assert.deepEqual(
    client.messages('a').map(({ content }) => content),
    ['one'],
  )
})

test('a thousand threads run at once in one engine', async (t) => {
  const { client, engine } = bench(t, counting(2), { kind: 'memory' })
  const ids = Array.from({ length: 1_000 }, (_, n) => `t${n}`)
  await Promise.all(ids.map((id) => client.spawn(request(id))))
  const rows = await client.wait(ids, { timeoutMs: 60_000 })
  assert.ok(rows.every(({ status, turn }) => status === 'completed' && turn === 2))
  await poll<number>(
    () => idle(engine),
    (active) => active === 0,
  )
})

function idle(engine: Engine): number {
  return engine.active()
}
