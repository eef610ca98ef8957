import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openStore } from '../../../src/threads/store/open-store.ts'
import { getThread, listEvents } from '../../../src/threads/store/thread-rows.ts'
import { tempFolder } from '../fixture.ts'

const HOST = new URL('crash-host.ts', import.meta.url).pathname
const TURNS = [1, 2, 3]

/** Runs the host; gives its exit code, or the signal that ended it. */
async function runHost(folder: string, killAt = '', killAfterMs?: number): Promise<number | string> {
  const child = spawn(process.execPath, [HOST, folder, killAt], { stdio: ['ignore', 'inherit', 'inherit'] })
  const ended = once(child, 'exit')
  if (killAfterMs !== undefined) {
    await Promise.race([delay(killAfterMs), ended])
    child.kill('SIGKILL')
  }
  const [code, signal] = await ended
  return typeof code === 'number' ? code : String(signal)
}

/** Everything that must hold after any number of crashes and one undisturbed run. */
function assertWhole(folder: string): { readonly spentNano: number } {
  const effects = existsSync(join(folder, 'effects.log'))
    ? readFileSync(join(folder, 'effects.log'), 'utf8').trim().split('\n')
    : []
  for (const turn of TURNS) {
    const acked = effects.indexOf(`acked model ${turn}`)
    assert.equal(
      effects.indexOf(`begin model ${turn}`, acked),
      -1,
      `model call of turn ${turn} was made again after it was recorded`,
    )
    assert.ok(effects.filter((line) => line === `begin tool ${turn}`).length <= 1, `once tool of turn ${turn} ran twice`)
  }
  const store = openStore({ path: join(folder, '.ai', 'threads', 'registry.db') })
  try {
    const row = getThread(store, 't')
    const events = listEvents(store, 't', { sinceSeq: 0, limit: 1_000 })
    assert.deepEqual([row.status, row.turn], ['completed', 3])
    assert.deepEqual(
      events.map(({ seq }) => seq),
      events.map((_, index) => index + 1),
    )
    for (const turn of TURNS) {
      for (const type of ['assistant_message', 'tool_call', 'tool_result']) {
        assert.equal(
          events.filter(({ event_type: found, payload }) => found === type && payload['turn'] === turn).length,
          1,
          `${type} of turn ${turn}`,
        )
      }
    }
    const lines = readFileSync(join(folder, '.ai', 'threads', 't', 'transcript.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.deepEqual(
      lines.map(({ seq, type }) => [seq, type]),
      events.map(({ seq, event_type: type }) => [seq, type]),
    )
    assert.deepEqual(
      lines.filter(({ type }) => type === 'assistant_message').map(({ content }) => content),
      TURNS.map((turn) => `answer ${turn} ${'ü'.repeat(2_000)}`),
    )
    const ledger = store.statement('SELECT spent_nano, reserved_nano, closed FROM ledger').get()
    assert.deepEqual(
      [ledger?.['reserved_nano'], ledger?.['closed'], ledger?.['spent_nano']],
      [0, 1, row.total_usage['cost_nano']],
    )
    return { spentNano: Number(ledger?.['spent_nano']) }
  } finally {
    void store.close()
  }
}

test('threat row 60: a host killed after any of its commits, before the transcript line, is continued without loss', async (t) => {
  for (let batch = 1; ; batch += 1) {
    const folder = tempFolder(t)
    const first = await runHost(folder, `batch ${batch}`)
    if (first === 0) break
    assert.equal(first, 'SIGKILL')
    assert.equal(await runHost(folder), 0, `batch ${batch}`)
    assertWhole(folder)
    assert.ok(batch < 60, 'the host never came to its end')
  }
})

test('threat row 60: a host killed in the middle of a step is continued, and what it did is counted', async (t) => {
  const points = ['begin model 2', 'did model 2', 'acked model 2', 'begin tool 2', 'did tool 2', 'acked tool 2']
  for (const point of points) {
    const folder = tempFolder(t)
    assert.equal(await runHost(folder, point), 'SIGKILL', point)
    assert.equal(await runHost(folder), 0, point)
    const { spentNano } = assertWhole(folder)
    // In flight at the crash: the reservation counts as spent, and the call is made again.
    const inFlight = point === 'begin model 2' || point === 'did model 2'
    assert.equal(spentNano, inFlight ? 3 * 60 + 100 : 3 * 60, point)
  }
})

test('threat row 60: a once tool that had begun is reported as unknown and never run again', async (t) => {
  const folder = tempFolder(t)
  await runHost(folder, 'did tool 2')
  assert.equal(await runHost(folder), 0)
  const effects = readFileSync(join(folder, 'effects.log'), 'utf8')
  assert.equal(effects.match(/did tool 2/g)?.length, 1)
  const store = openStore({ path: join(folder, '.ai', 'threads', 'registry.db') })
  const results = listEvents(store, 't', { sinceSeq: 0, limit: 100 }).filter(({ event_type: type }) => type === 'tool_result')
  await store.close()
  assert.deepEqual(
    results.map(({ payload }) => payload['success']),
    [true, false, true],
  )
})

test('threat row 60: a host killed at random moments, again and again, still brings its thread to the end', async (t) => {
  const folder = tempFolder(t)
  let outcome: number | string = 'none'
  for (let kill = 0; kill < 10 && outcome !== 0; kill += 1)
    outcome = await runHost(folder, '', 60 + kill * 17 + Math.floor(Math.random() * 60))
  if (outcome !== 0) assert.equal(await runHost(folder), 0)
  assertWhole(folder)
})
