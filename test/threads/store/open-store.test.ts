import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { linkSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import { openStore } from '../../../src/threads/store/open-store.ts'
import { listThreads } from '../../../src/threads/store/thread-rows.ts'
import { atEnd, tempFolder } from '../fixture.ts'

const WRITER = new URL('busy-writer.ts', import.meta.url).pathname

test('the registry and its folder belong to the user alone', async (t) => {
  const folder = tempFolder(t)
  const path = join(folder, '.ai', 'threads', 'registry.db')
  const store = openStore({ path })
  atEnd(t, () => store.close())
  await store.commit(() => store.statement('CREATE TABLE any (n)').run().changes)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(`${path}-wal`).mode & 0o777, 0o600)
  assert.equal(statSync(join(folder, '.ai', 'threads')).mode & 0o777, 0o700)
})

test('a registry runs with the settings that keep it safe', (t) => {
  const store = openStore({ path: join(tempFolder(t), 'registry.db') })
  atEnd(t, () => store.close())
  const pragma = (name: string): unknown => Object.values(store.statement(`PRAGMA ${name}`).get() ?? {})[0]
  assert.deepEqual(['journal_mode', 'foreign_keys', 'trusted_schema', 'synchronous'].map(pragma), ['wal', 1, 0, 1])
  assert.ok(Number(pragma('busy_timeout')) >= 5_000)
})

test('the first columns of the threads table are the documented ones', (t) => {
  const store = openStore({ path: ':memory:' })
  atEnd(t, () => store.close())
  const columns = store
    .statement('PRAGMA table_info(threads)')
    .all()
    .map((row) => row['name'])
  const documented =
    'thread_id directive_id parent_thread_id root_thread_id status end_reason created_at updated_at permission_context_json cost_budget_json total_usage_json'
  assert.deepEqual(columns.slice(0, 11), documented.split(' '))
})

test('a registry that a newer version wrote is refused with both versions', (t) => {
  const path = join(tempFolder(t), 'registry.db')
  const database = new DatabaseSync(path)
  database.exec('PRAGMA user_version=99')
  database.close()
  assert.throws(() => openStore({ path }), /registry\.db has version 99; this Kiwi knows up to version 3/)
})

test('threat row 36: a registry that is a link is not opened', (t) => {
  const folder = tempFolder(t)
  writeFileSync(join(folder, 'victim'), '')
  symlinkSync(join(folder, 'victim'), join(folder, 'soft.db'))
  linkSync(join(folder, 'victim'), join(folder, 'hard.db'))
  for (const name of ['soft.db', 'hard.db']) assert.throws(() => openStore({ path: join(folder, name) }), /is a link/)
})

test('eight processes write one registry at once and none is told that it is busy', async (t) => {
  const path = join(tempFolder(t), '.ai', 'threads', 'registry.db')
  const writers = Array.from({ length: 8 }, (_, index) =>
    spawn(process.execPath, [WRITER, path, String(index)], { stdio: ['ignore', 'inherit', 'inherit'] }),
  )
  const codes = await Promise.all(writers.map(async (writer) => (await once(writer, 'exit'))[0]))
  assert.deepEqual(codes, [0, 0, 0, 0, 0, 0, 0, 0])
  const store = openStore({ path })
  atEnd(t, () => store.close())
  assert.equal(listThreads(store, { limit: 1_000 }).length, 8 * 20)
  assert.equal(
    store.statement('SELECT spawned_below FROM threads ORDER BY registry_id LIMIT 1').get()?.['spawned_below'],
    8 * 20 - 1,
  )
})
