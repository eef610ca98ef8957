import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { openStore } from '../../../src/threads/store/open-store.ts'
import { clientOn, told } from '../asking.ts'
import { atEnd, bench, counting, DONE, request, runner, tempFolder } from '../fixture.ts'
import type { Order } from './other-process.ts'

const RACES = 200

/** Another process that works on the registry of `folder`; gives what it answers to an order. */
async function otherProcess(t: TestContext, folder: string): Promise<(order: Order) => Promise<unknown>> {
  const child = fork(new URL('other-process.ts', import.meta.url), [registryOf(folder)])
  atEnd(t, async () => {
    if (child.connected) child.disconnect()
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  await once(child, 'message')
  return async (order) => {
    child.send(order)
    const [answer] = await once(child, 'message', { signal: AbortSignal.timeout(30_000) })
    return answer
  }
}

function registryOf(folder: string): string {
  return join(folder, '.ai', 'threads', 'registry.db')
}

// Guards: `cancel_mode` in the spawn's transaction refuses the child; `cancelBelow` in the cancel's transaction marks the one that is there.
test('a cancel and a spawn below it at one instant, in two processes, refuse the child or cancel it', async (t) => {
  const folder = tempFolder(t)
  const store = openStore({ path: registryOf(folder) })
  atEnd(t, () => store.close())
  const client = clientOn(store)
  const cancelling = await otherProcess(t, folder)
  const spawning = await otherProcess(t, folder)
  const fates: Record<string, number> = {}
  for (let n = 0; n < RACES; n += 1) {
    await client.spawn(request(`root${n}`))
    await client.spawn(request(`mid${n}`, { parentThreadId: `root${n}` }))
    const cancel = (): Promise<unknown> => cancelling({ do: 'cancel', threadId: `root${n}` })
    const spawn = (): Promise<unknown> => spawning({ do: 'spawn', threadId: `child${n}`, parentThreadId: `mid${n}` })
    // Whoever is told first has a head start.
    const first = n % 2 === 0 ? [cancel(), spawn()] : [spawn(), cancel()].toReversed()
    const [cancelled, spawned] = await Promise.all(first)
    assert.equal(cancelled, 'ok')
    const row = store.statement('SELECT cancel_mode FROM threads WHERE thread_id = ?').get(`child${n}`)
    const fate =
      spawned === 'SPAWN_FAILED' && row === undefined ? 'refused' : `${String(spawned)} ${String(row?.['cancel_mode'])}`
    fates[fate] = (fates[fate] ?? 0) + 1
    if (row !== undefined) assert.equal(told(client, `child${n}`)[0]?.payload['because_of'], `root${n}`)
  }
  t.diagnostic(JSON.stringify(fates))
  const { refused = 0, 'ok now': caught = 0 } = fates
  assert.equal(refused + caught, RACES, JSON.stringify(fates))

  const { engine, client: inside, until } = bench(t, counting(1), { folder })
  await engine.recover()
  for (const { thread_id: id } of inside.list({ limit: 1_000 })) await until(id, 'cancelled')
})

// Guard: the journal's host looks at the last `seq` again, in its own transaction, when another process has written.
test('interventions of another process and the turns of a live host leave no gap in the events, nor in the transcript', async (t) => {
  const rounds = 150
  const folder = tempFolder(t)
  const script = runner(async (context, state) => {
    for (let n = 0; n < 3; n += 1)
      await context.step(`s${n}`, { effect: 'pure', timeoutMs: 10_000 }, async () => ({
        value: n,
        commit: { events: [{ type: 'worked', payload: { n } }] },
      }))
    return [state, context.history().length >= rounds ? DONE : { do: 'turn' }]
  })
  const { client, until, problems } = bench(t, script, { folder, pollMs: 5 })
  const steer = await otherProcess(t, folder)
  await client.spawn(request('a', { grantedNano: 1 }))
  await until('a', 'running')
  assert.equal(await steer({ do: 'steer', threadId: 'a', rounds }), 'ok')
  const row = await until('a', 'completed')
  const events = client.events('a', { limit: 10_000 })
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, index) => index + 1),
  )
  const count = (type: string): number => events.filter(({ event_type: found }) => found === type).length
  t.diagnostic(JSON.stringify({ turns: row.turn, worked: count('worked') }))
  assert.deepEqual([count('intervention'), count('note'), count('worked')], [2 * rounds, rounds, 3 * row.turn])
  const lines = readFileSync(join(folder, '.ai', 'threads', 'a', 'transcript.jsonl'), 'utf8')
    .trim()
    .split('\n')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).seq),
    events.map(({ seq }) => seq),
  )
  assert.deepEqual(problems, [])
})
