import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Runner } from '../../../src/threads/engine.ts'
import { bench, DONE, poll, request, runner, signal, tempFolder } from '../fixture.ts'
import { makeOld } from '../store/old-registry.ts'

/** What a thread of the earlier version was in the middle of, by its id. */
function working(isOld: boolean): Runner {
  return runner(async (context, state) => {
    const { threadId } = context
    if (threadId === 'asking' && context.turn === 1) return [state, { do: 'wait', reason: 'escalated' }]
    if (threadId === 'timed' && context.turn === 1)
      return [state, { do: 'wait', reason: 'timer', untilMs: context.now() + (isOld ? 3_600_000 : 0) }]
    if (threadId === 'parent' && context.turn === 1) return [state, { do: 'wait', reason: 'children' }]
    const first = await context.step('first', { effect: 'idempotent', timeoutMs: 5_000, reserveNano: 10 }, async () => ({
      value: isOld ? 'old' : 'new',
      commit: { settleNano: 4 },
    }))
    const second = await context.step('second', { effect: 'once', timeoutMs: 5_000, reserveNano: 7 }, (meta) =>
      isOld
        ? new Promise((_, reject) => meta.signal.addEventListener('abort', () => reject(meta.signal.reason as Error)))
        : Promise.resolve({ value: 'ran' }),
    )
    const result = [first.kind === 'done' ? first.value : first.kind, second.kind === 'done' ? second.value : second.kind]
    return [state, { ...DONE, result }]
  })
}

test('threads of a registry of version 2 go on after its upgrade, whatever they were doing', async (t) => {
  const folder = tempFolder(t)
  const path = join(folder, '.ai', 'threads', 'registry.db')
  const before = bench(t, working(true), { folder })
  const spawn = async (id: string, change = {}): Promise<void> => {
    await before.client.spawn(request(id, { grantedNano: 100, ...change }))
    await before.engine.start(id)
  }
  for (const id of ['asking', 'timed', 'parent']) await spawn(id)
  await before.until('parent', 'waiting')
  await spawn('child', { parentThreadId: 'parent', grantedNano: 40 })
  await spawn('stopped')
  await poll(
    () => before.store.statement("SELECT COUNT(*) AS begun FROM steps WHERE name = 'second'").get()?.['begun'],
    (begun) => begun === 2,
  )
  for (const id of ['asking', 'timed']) await before.until(id, 'waiting')
  await before.client.signal('timed', signal('pause'))
  await before.until('timed', 'paused')
  // A step that is aborted settles itself; a host that is killed leaves it begun, and its money reserved.
  before.store.statement('UPDATE leases SET host_id = NULL').run()
  const killed = before.store.statement('SELECT thread_id, step, amount_nano FROM reservations ORDER BY thread_id').all()
  assert.equal(killed.length, 2)
  await before.store.close()
  await before.engine.close(0).catch(() => undefined)
  makeOld(path, 2)

  const { client, engine, store, until } = bench(t, working(false), { folder })
  await client.spawn(request('fresh'))
  await engine.recover()
  for (const id of ['child', 'stopped']) assert.deepEqual((await until(id, 'completed', 'error')).result, ['old', 'unknown'])
  assert.deepEqual((await until('parent', 'completed', 'error')).result, ['new', 'ran'])
  assert.deepEqual((await until('fresh', 'completed', 'error')).result, ['new', 'ran'])
  for (const id of ['asking', 'timed']) assert.match(client.get(id).status, /^(?:waiting|paused)$/)
  await client.signal('asking', signal('resume'))
  await client.signal('timed', signal('resume'))
  await until('timed', 'waiting')
  await client.signal('timed', signal('resume', {}, 'resume-2'))
  for (const id of ['asking', 'timed']) assert.deepEqual((await until(id, 'completed', 'error')).result, ['new', 'ran'])
  const account = store.statement("SELECT spent_nano, reserved_nano, escrow_nano FROM ledger WHERE thread_id = 'parent'").get()
  assert.deepEqual({ ...account }, { spent_nano: 4 + 7 + 4 + 7, reserved_nano: 0, escrow_nano: 0 })
  const { chain_id: chain, continues, on_parent_end: end } = client.get('child')
  assert.deepEqual([chain, continues, end], ['child', null, 'cancel'])
  const retried = await client.spawn(request('again', { continues: { threadId: 'stopped', how: 'retry', throughSeq: 9 } }))
  assert.equal(client.get(retried.thread_id).chain_id, 'stopped')
  const gaps = store.statement('SELECT thread_id, MAX(seq) - COUNT(*) AS gap FROM thread_events GROUP BY thread_id').all()
  assert.deepEqual(
    gaps.filter(({ gap }) => gap !== 0),
    [],
  )
})
