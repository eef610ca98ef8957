import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { readStart } from '../../../src/threads/engines/live-thread.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import { listEvents, listMessages, listThreads } from '../../../src/threads/store/thread-rows.ts'
import { tempFolder } from '../fixture.ts'

const HOST = new URL('handoff-host.ts', import.meta.url).pathname

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

const numbers = (store: Store, sql: string): unknown[] => Object.values(store.statement(sql).get() ?? {})

/**
 * Everything that must hold after any number of crashes and one undisturbed run. Guard: the successor is made in the transaction that ends
 * the thread before it (`endThread`); made after it, a kill in between leaves a thread that nobody took over from.
 */
function assertWhole(folder: string, where: string): void {
  const store = openStore({ path: join(folder, '.ai', 'threads', 'registry.db') })
  try {
    const rows = listThreads(store, { order_by: 'created_at' })
    assert.deepEqual(
      rows.map((row) => [row.thread_id, row.status, row.chain_id, row.continues?.thread_id ?? null, row.continued_by]),
      [
        ['p', 'completed', 'p', null, null],
        ['t', 'completed', 't', null, 't_2'],
        ['t_2', 'completed', 't', 't', 't_3'],
        ['t_3', 'completed', 't', 't_2', null],
        ['retry', 'completed', 't', 't_3', null],
        ['fork', 'completed', 't', 't_2', null],
      ],
      where,
    )
    const told = store.statement("SELECT body_json FROM signals WHERE thread_id = 'p' AND kind = 'child_done'").all()
    assert.deepEqual(
      told.map((row) => JSON.parse(String(row['body_json']))),
      [{ thread_id: 't', continued_in: 't_3', status: 'completed', end_reason: 'done', result: 'ok' }],
      where,
    )
    assertMoney(store, where)
    for (const { thread_id: id } of rows) assertConversation(store, folder, id)
  } finally {
    void store.close()
  }
}

function assertMoney(store: Store, where: string): void {
  const open = numbers(store, 'SELECT SUM(reserved_nano), SUM(escrow_nano), SUM(closed), COUNT(*) FROM ledger')
  assert.deepEqual(open, [0, 0, 6, 6], where)
  const [spentNano] = numbers(store, "SELECT SUM(own_spent_nano) FROM ledger WHERE thread_id LIKE 't%'")
  assert.deepEqual(numbers(store, "SELECT spent_nano FROM ledger WHERE thread_id = 'p'"), [spentNano], where)
  // A call that a crash cut off counts as spent and is made again, so each thread had spent 60 or more.
  for (const [before, after] of [
    ['t', 't_2'],
    ['t_2', 't_3'],
  ] as const) {
    const [grantedNano, ownNano] = numbers(store, `SELECT granted_nano, own_spent_nano FROM ledger WHERE thread_id = '${before}'`)
    assert.equal(readStart(store, after)?.grantedNano, Number(grantedNano) - Number(ownNano), where)
    assert.deepEqual(numbers(store, `SELECT granted_nano FROM ledger WHERE thread_id = '${after}'`), [
      Number(grantedNano) - Number(ownNano),
    ])
  }
}

function assertConversation(store: Store, folder: string, threadId: string): void {
  const earlier = threadId === 'retry' ? ['t_3'] : threadId === 'fork' ? ['t_2'] : []
  const expected = threadId === 'p' ? [] : [...earlier, threadId].map((id, index) => [index + 1, { content: `said by ${id}` }])
  assert.deepEqual(
    listMessages(store, threadId, { sinceSeq: 0, limit: 100 }).map(({ seq, content }) => [seq, content]),
    expected,
  )
  // What is logged of an ended thread comes into its transcript when somebody next speaks of it, so that may be later.
  const own = (types: readonly string[]): readonly string[] => types.filter((type) => type !== 'intervention')
  const lines = readFileSync(join(folder, '.ai', 'threads', threadId, 'transcript.jsonl'), 'utf8')
    .trim()
    .split('\n')
  assert.deepEqual(
    own(lines.map((line) => JSON.parse(line).type)),
    own(listEvents(store, threadId, { sinceSeq: 0, limit: 1_000 }).map(({ event_type: type }) => type)),
  )
}

test('threat row 60: a host killed after any commit of a line of threads leaves one successor for each, and no work undone', async (t) => {
  for (let batch = 1; ; batch += 1) {
    const folder = tempFolder(t)
    const first = await runHost(folder, `batch ${batch}`)
    if (first === 0) break
    assert.equal(first, 'SIGKILL')
    assert.equal(await runHost(folder), 0, `batch ${batch}`)
    assertWhole(folder, `batch ${batch}`)
    assert.ok(batch < 80, 'the host never came to its end')
  }
})

test('threat row 60: a host killed when a thread is about to hand on does so when it comes back', async (t) => {
  for (const point of ['end of t', 'end of t_2', 'end of t_3', 'end of retry', 'end of fork']) {
    const folder = tempFolder(t)
    assert.equal(await runHost(folder, point), 'SIGKILL', point)
    assert.equal(await runHost(folder), 0, point)
    assertWhole(folder, point)
  }
})

test('threat row 60: a line of threads whose host is killed at random moments, again and again, comes to its end whole', async (t) => {
  const folder = tempFolder(t)
  let outcome: number | string = 'none'
  for (let kill = 0; kill < 12 && outcome !== 0; kill += 1)
    outcome = await runHost(folder, '', 60 + kill * 17 + Math.floor(Math.random() * 60))
  if (outcome !== 0) assert.equal(await runHost(folder), 0)
  assertWhole(folder, 'random kills')
})
