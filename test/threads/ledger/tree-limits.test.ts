import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { createThreadsClient } from '../../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import type { Next } from '../../../src/threads/engine.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import type { SpawnRequest } from '../../../src/threads/threads-client.ts'
import { atEnd, bench, DONE, poll, request, runner, signal, tempFolder } from '../fixture.ts'
import type { Bench } from '../fixture.ts'

const SPAWNER = new URL('spawner.ts', import.meta.url).pathname

/** Threads that wait until they are cancelled; those whose id begins with `end` are done at once. */
function parked(t: TestContext): Bench {
  const script = runner(async (context, state) => [
    state,
    context.threadId.startsWith('end') ? DONE : { do: 'wait', reason: 'timer' },
  ])
  return bench(t, script, { kind: 'memory' })
}

test('a limit of live threads counts everything unfinished below, at any depth, and nothing that has ended', async (t) => {
  const { client, until } = parked(t)
  await client.spawn(request('root', { maxLive: 3 }))
  await client.spawn(request('a', { parentThreadId: 'root' }))
  await client.spawn(request('b', { parentThreadId: 'a' }))
  await client.spawn(request('end', { parentThreadId: 'b' }))
  await until('end', 'completed')
  await client.spawn(request('c', { parentThreadId: 'root' }))
  await assert.rejects(client.spawn(request('d', { parentThreadId: 'b' })), (error: { code: string; context: object }) => {
    assert.equal(error.code, 'SPAWN_FAILED')
    assert.deepEqual(error.context, {
      facts: { binding_thread_id: 'root', limit: 'max_live_spawns', max: 3, current: 3 },
      retryable: true,
      suggestion: 'Wait for some of the threads below it to end, then spawn again.',
    })
    return true
  })
  await client.signal('c', signal('cancel'))
  await until('c', 'cancelled')
  await client.spawn(request('d', { parentThreadId: 'b' }))
})

test('a limit of live threads binds the tree of the thread that has it, not the rest', async (t) => {
  const { client } = parked(t)
  await client.spawn(request('root'))
  await client.spawn(request('a', { parentThreadId: 'root', maxLive: 0 }))
  await client.spawn(request('b', { parentThreadId: 'root' }))
  await assert.rejects(client.spawn(request('c', { parentThreadId: 'a' })), (error: { context: { retryable: boolean } }) => {
    // No waiting helps against a limit of none.
    assert.equal(error.context.retryable, false)
    return true
  })
})

test('what no waiting can change is said before what may pass', async (t) => {
  const { client } = parked(t)
  await client.spawn(request('root', { maxSpawns: 2 }))
  await client.spawn(request('a', { parentThreadId: 'root', maxLive: 1 }))
  await client.spawn(request('b', { parentThreadId: 'a' }))
  await assert.rejects(client.spawn(request('c', { parentThreadId: 'a' })), /allows max_spawns=2/)
})

test('threads that were detached before a handoff count against the limit of the thread that took over', async (t) => {
  const next: Next = {
    ...(DONE as Extract<Next, { do: 'done' }>),
    successor: { threadId: 'a2', initialMessage: 'Go on.', options: {} },
  }
  const go = Promise.withResolvers<void>()
  const script = runner(async (context, state) => {
    if (context.threadId !== 'a') return [state, { do: 'wait', reason: 'timer' }]
    await go.promise
    return [state, next]
  })
  const { client } = bench(t, script, { kind: 'memory' })
  await client.spawn(request('a', { maxLive: 2, maxSpawns: 3 }))
  for (const id of ['b', 'c']) await client.spawn(request(id, { parentThreadId: 'a', onParentEnd: 'detach' }))
  go.resolve()
  await poll(
    () => client.newestOf('a').thread_id,
    (id) => id === 'a2',
  )
  await assert.rejects(client.spawn(request('d', { parentThreadId: 'a2' })), /a2 allows max_live_spawns=2/)
  await assert.rejects(client.spawn(request('d', { parentThreadId: 'b' })), /a2 allows max_live_spawns=2/)
})

/**
 * Guard of these tests: `takeSpawn` and `Ledger.open` run in the transaction that writes the row (`insertThread`). Without any one of their
 * checks, or with the reading outside of the transaction, more threads come to be than the limit allows.
 */
async function race(
  t: TestContext,
  root: Partial<SpawnRequest>,
  how: { readonly mode?: 'descend'; readonly grant?: string } = {},
): Promise<{ readonly store: Store; readonly outcomes: ReadonlyMap<string, number> }> {
  const path = join(tempFolder(t), '.ai', 'threads', 'registry.db')
  const store = openStore({ path })
  atEnd(t, () => store.close())
  const wake = async (): Promise<void> => undefined
  const client = createThreadsClient({
    projectPath: '/nowhere',
    store,
    ownsStore: false,
    clock: systemClock,
    wake,
    watchLive: wake,
  })
  await client.spawn(request('root', root))
  const processes = ['x', 'y'].map((name) => fork(SPAWNER, [path, name, '25', how.mode ?? 'spread', how.grant ?? '']))
  await Promise.all(processes.map(said))
  const answers = processes.map(said)
  for (const child of processes) child.send('go')
  const all = (await Promise.all(answers)).flat()
  const counts = Object.entries(Object.groupBy(all, (text) => text)).map(([text, of]) => [text, of?.length ?? 0] as const)
  return { store, outcomes: new Map(counts) }
}

/** The next message of a process; its end without one is a failure. */
async function said(child: ChildProcess): Promise<readonly string[]> {
  const ended = new AbortController()
  child.once('exit', () => ended.abort(new Error('A spawning process ended without an answer.')))
  const [message] = await once(child, 'message', { signal: ended.signal })
  return message
}

const countBelow = (store: Store): unknown =>
  store.statement('SELECT COUNT(*) AS n FROM threads WHERE parent_thread_id IS NOT NULL').get()?.['n']

test('threat row 52: fifty spawns at once out of two processes never make more threads than max_spawns', async (t) => {
  const { store, outcomes } = await race(t, { maxSpawns: 7 })
  assert.deepEqual(Object.fromEntries(outcomes), { spawned: 7, 'SPAWN_FAILED max_spawns': 43 })
  assert.equal(countBelow(store), 7)
})

test('threat row 52: fifty spawns at once out of two processes never make more live threads than max_live_spawns', async (t) => {
  const { store, outcomes } = await race(t, { maxLive: 5 })
  assert.deepEqual(Object.fromEntries(outcomes), { spawned: 5, 'SPAWN_FAILED max_live_spawns': 45 })
  assert.equal(countBelow(store), 5)
})

test('threat row 52: fifty threads at once that spawn themselves without end come no deeper than max_depth', async (t) => {
  const { store, outcomes } = await race(t, { maxDepth: 3 }, { mode: 'descend' })
  assert.deepEqual(Object.fromEntries(outcomes), { spawned: 150, 'SPAWN_FAILED max_depth': 50 })
  assert.equal(store.statement('SELECT MAX(depth) AS depth FROM threads').get()?.['depth'], 3)
})

test('threat row 52: fifty children at once out of two processes are granted no more than the root has', async (t) => {
  const { store, outcomes } = await race(t, { grantedNano: 1_000 }, { grant: '90' })
  assert.deepEqual(Object.fromEntries(outcomes), { spawned: 11, BUDGET_EXCEEDED: 39 })
  assert.equal(store.statement("SELECT escrow_nano FROM ledger WHERE thread_id = 'root'").get()?.['escrow_nano'], 990)
})

test('threat row 52: with all limits at once every one of them holds', async (t) => {
  const { store, outcomes } = await race(t, { maxSpawns: 20, maxLive: 6, maxDepth: 2, grantedNano: 500 }, { grant: '100' })
  assert.deepEqual(
    [outcomes.get('spawned'), countBelow(store), [...outcomes.values()].reduce((sum, count) => sum + count, 0)],
    [5, 5, 50],
  )
})

test('threat row 52: a thread that spawns itself twice in every turn comes to an end at the limits of its tree', async (t) => {
  const script = runner(async (context, state) => {
    const step = await context.step('spawn', { effect: 'idempotent', timeoutMs: 10_000 }, async () => {
      const ids = [1, 2].map((n) => `${context.threadId}_${n}`)
      const spawns = await Promise.allSettled(ids.map((id) => client.spawn(request(id, { parentThreadId: context.threadId }))))
      return { value: spawns.filter(({ status }) => status === 'fulfilled').length }
    })
    const spawned = step.kind === 'done' ? step.value : 0
    return [state, spawned === 0 ? DONE : { do: 'wait', reason: 'children' }]
  })
  const { client } = bench(t, script, { kind: 'memory' })
  await client.spawn(request('r', { maxSpawns: 40, maxDepth: 4, maxLive: 12 }))
  await poll(
    () => client.list({ limit: 1_000 }).filter(({ ended_at: ended }) => ended === null).length,
    (unfinished) => unfinished === 0,
  )
  const rows = client.list({ limit: 1_000 })
  assert.ok(rows.length > 5 && rows.length <= 41 && rows.every(({ depth }) => depth <= 4), `${rows.length} threads`)
})
