import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import test from 'node:test'
import { createLeases } from '../../../src/threads/engines/leases.ts'
import { isAlive, ownIdentity } from '../../../src/threads/engines/process-identity.ts'
import type { ProcessIdentity } from '../../../src/threads/engines/process-identity.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import { atEnd, bench, DONE, poll, request, runner, tempFolder } from '../fixture.ts'

const EXPIRY_MS = 1_000

function leasesOf(
  hostId: string,
  identity: ProcessIdentity,
  store = openStore({ path: ':memory:' }),
): { readonly leases: ReturnType<typeof createLeases>; readonly store: typeof store } {
  store.statement('PRAGMA foreign_keys=OFF').run()
  return { store, leases: createLeases({ store, hostId, identity, expiryMs: EXPIRY_MS }) }
}

test('a process is known by its pid and its start time together', async () => {
  const own = ownIdentity()
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'])
  await once(child, 'spawn')
  assert.equal(isAlive(own, own), true)
  assert.equal(isAlive({ ...own, pidStart: '1' }, own), false)
  assert.equal(isAlive({ ...own, machine: 'elsewhere' }, own), null)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal(isAlive({ ...own, pid: child.pid ?? 0 }, own), false)
})

test('a lease is taken from a dead host of this machine at once, and never from a living one', () => {
  const own = ownIdentity()
  const dead = leasesOf('dead', { ...own, pidStart: '1' })
  const second = leasesOf('second', own, dead.store).leases
  const third = leasesOf('third', own, dead.store).leases
  for (const leases of [dead.leases, second, third]) leases.heartbeat(0)
  assert.equal(dead.leases.take('t', 0), 1)
  assert.equal(second.take('t', 0), 2)
  assert.equal(third.take('t', EXPIRY_MS * 100), null)
})

test('a host of another machine keeps its lease until its heartbeat has expired', () => {
  const far = leasesOf('far', { ...ownIdentity(), machine: 'elsewhere' })
  const near = leasesOf('near', ownIdentity(), far.store).leases
  far.leases.heartbeat(0)
  assert.equal(far.leases.take('t', 0), 1)
  assert.equal(near.take('t', EXPIRY_MS), null)
  far.leases.heartbeat(EXPIRY_MS)
  assert.equal(near.take('t', EXPIRY_MS + 1), null)
  assert.equal(near.take('t', EXPIRY_MS * 2 + 1), 2)
})

test('a lease that was released is free, and its epoch goes on', () => {
  const { leases, store } = leasesOf('first', ownIdentity())
  const second = leasesOf('second', ownIdentity(), store).leases
  leases.heartbeat(0)
  assert.equal(leases.take('t', 0), 1)
  leases.release('t', 1)
  assert.deepEqual([leases.epochOf('t'), second.take('t', 0)], [null, 2])
})

test('threat row 53: a host whose lease was taken writes nothing more, and its running step is aborted', async (t) => {
  const folder = tempFolder(t)
  const begun = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const outcome = Promise.withResolvers<unknown>()
  const script = runner(async (context, state) => {
    const step = context.step('work', { effect: 'idempotent', timeoutMs: 10_000 }, async () => {
      begun.resolve()
      await gate.promise
      return {
        value: 1,
        commit: { messages: [{ role: 'assistant', content: 'stale' }], events: [{ type: 'stale', payload: {} }] },
      }
    })
    outcome.resolve(await step.catch((error: unknown) => error))
    return [state, DONE]
  })
  const { client, store, problems } = bench(t, script, { folder })
  await client.spawn(request('a'))
  await begun.promise
  const other = openStore({ path: join(folder, '.ai', 'threads', 'registry.db') })
  atEnd(t, () => other.close())
  await other.commit(
    () => other.statement("UPDATE leases SET host_id = 'other', epoch = epoch + 1 WHERE thread_id = 'a'").run().changes,
  )
  gate.resolve()
  assert.match(String(await outcome.promise), /another host has taken its lease/)
  assert.deepEqual(
    [client.messages('a').length, client.events('a').map(({ event_type: type }) => type)],
    [0, ['status', 'status']],
  )
  assert.equal(store.statement('SELECT status FROM threads').get()?.['status'], 'running')
  await poll(
    () => problems.length,
    (count) => count === 1,
  )
})

test('threat row 53: of two engines on one registry only one runs a thread', async (t) => {
  const folder = tempFolder(t)
  let turns = 0
  const script = runner(async (context, state) => {
    turns += 1
    await context.step('work', { effect: 'idempotent', timeoutMs: 10_000 }, async () => ({ value: 1 }))
    return [state, context.turn === 3 ? DONE : { do: 'turn' }]
  })
  const first = bench(t, script, { folder, pollMs: 5 })
  const second = bench(t, script, { folder, pollMs: 5 })
  const ids = Array.from({ length: 30 }, (_, n) => `t${n}`)
  await Promise.all(ids.map((id) => first.client.spawn(request(id))))
  await Promise.all(ids.map((id) => second.engine.start(id)))
  const rows = await second.client.wait(ids, { timeoutMs: 20_000 })
  assert.ok(rows.every(({ status, turn }) => status === 'completed' && turn === 3))
  assert.equal(turns, ids.length * 3)
})

test('a signal and a spawn of another process are found without being told', async (t) => {
  const folder = tempFolder(t)
  const script = runner(async (context, state) => [state, context.turn === 1 ? { do: 'wait', reason: 'approval' } : DONE])
  const host = bench(t, script, { folder, pollMs: 5 })
  const silent = bench(t, script, { folder, pollMs: 60_000 })
  // The engine beside this client never runs anything: it is closed before.
  await silent.engine.close(0)
  await silent.client.spawn(request('a'))
  await host.until('a', 'waiting')
  await silent.client.signal('a', { id: 'yes', kind: 'approval', body: {} })
  assert.equal((await host.until('a', 'completed')).turn, 2)
})
