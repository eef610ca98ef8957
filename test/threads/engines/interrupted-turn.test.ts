import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { spawnThread } from '../../../src/threads/client/spawn.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import type { Effect, Runner } from '../../../src/threads/engine.ts'
import { createSqliteEngine } from '../../../src/threads/engines/sqlite-engine.ts'
import { createLedger } from '../../../src/threads/ledger/ledger.ts'
import { bench, DONE, poll, request, runner, signal, tempFolder } from '../fixture.ts'

/** A turn with one recorded step, and a second one that lasts until it is stopped. */
const stuck: Runner = runner(async (context, state) => {
  await context.step('first', { effect: 'once', timeoutMs: 10_000 }, () => Promise.resolve({ value: 1 }))
  await context.step(
    'second',
    { effect: 'once', timeoutMs: 10_000 },
    ({ signal: stop }) => new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason))),
  )
  return [state, DONE]
})

/** A registry whose thread `a` was left with one step done and a `once` step begun. */
async function stoppedInMidTurn(t: TestContext) {
  const folder = tempFolder(t)
  const before = bench(t, stuck, { folder })
  await before.client.spawn(request('a'))
  await poll(
    () => stepsOf(before.store),
    (steps) => steps.length === 2,
  )
  await before.engine.close(0)
  return { folder, before }
}

test('a thread that was in the middle of a turn ends when its harness is gone', async (t) => {
  const { folder } = await stoppedInMidTurn(t)
  const after = bench(t, () => Promise.reject(new KiwiError('ITEM_NOT_FOUND', 'No harness "script".')), { folder })
  await after.engine.recover()
  const [row] = await after.client.wait(['a'], { timeoutMs: 5_000 })
  assert.deepEqual([row?.status, row?.end_reason, row?.turn], ['error', 'spawn_failed', 0])
})

test('a once step that had begun stays unknown when it is declared repeatable afterwards', async (t) => {
  const { folder } = await stoppedInMidTurn(t)
  let ran = 0
  const step = (effect: Effect) => ({ effect, timeoutMs: 1_000 })
  const changed = runner(async (context, state) => {
    await context.step('first', step('once'), () => Promise.resolve({ value: 1 }))
    const outcome = await context.step('second', step('pure'), () => Promise.resolve({ value: (ran += 1) }))
    return [state, { do: 'done', status: 'completed', endReason: 'done', result: outcome.kind }]
  })
  const after = bench(t, changed, { folder })
  await after.engine.recover()
  const [row] = await after.client.wait(['a'], { timeoutMs: 5_000 })
  assert.deepEqual([row?.result, ran], ['unknown', 0])
})

test('a cancel that comes while a thread is being taken up stops the turn it was in the middle of', async (t) => {
  const { folder, before } = await stoppedInMidTurn(t)
  // A reservation that a killed host left: settling it is what takes the taking up another tick.
  before.store.statement("INSERT INTO reservations (thread_id, turn, step, amount_nano) VALUES ('a', 1, 'model', 5)").run()
  const hanging = runner(async (context, state) => {
    await context.step(
      'third',
      { effect: 'pure', timeoutMs: 3_000 },
      ({ signal: stop }) => new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason))),
    )
    return [state, DONE]
  })
  // The poll would find it half a second later.
  const after = bench(t, hanging, { folder, pollMs: 60_000 })
  const sent: Promise<void>[] = []
  after.store.onBatch(() => {
    const lease = after.store.statement("SELECT host_id FROM leases WHERE thread_id = 'a'").get()
    if (sent.length === 0 && lease?.['host_id'] !== null) sent.push(after.client.signal('a', signal('cancel', { mode: 'now' })))
  })
  await after.engine.recover()
  await Promise.all(sent)
  // Not by `wait`, which would wake the thread once more.
  const row = await after.until('a', 'cancelled', 'completed', 'error')
  assert.equal(row.status, 'cancelled')
})

test('an engine that can write nothing closes all the same', async (t) => {
  const { store } = bench(t, stuck)
  const engine = createSqliteEngine({
    // What a full disk looks like to the engine: every write waits for room.
    store: { ...store, commit: () => new Promise(() => {}) },
    resolveRunner: () => Promise.resolve(stuck),
    clock: systemClock,
    hostId: 'full',
    transcripts: null,
    bus: null,
    onProblem: () => undefined,
  })
  await spawnThread({ store, ledger: createLedger(store), clock: systemClock, projectPath: '/nowhere' }, request('a'))
  engine.notify('a')
  await engine.close(50)
  assert.equal(engine.active(), 1)
})

function stepsOf(store: { statement(sql: string): { all(): readonly unknown[] } }): readonly unknown[] {
  return store.statement('SELECT name FROM steps').all()
}
