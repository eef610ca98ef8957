import assert from 'node:assert/strict'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { join } from 'node:path'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import { atEnd, tempFolder } from '../fixture.ts'

function tally(t: TestContext, options: { readonly diskFull?: 'retry' | 'fail'; readonly onStall?: () => void } = {}): Store {
  const store = openStore({ path: join(tempFolder(t), 'registry.db'), ...options })
  store.statement('CREATE TABLE tally (n INTEGER PRIMARY KEY, pad TEXT)').run()
  atEnd(t, () => store.close())
  return store
}

function insert(store: Store, n: number, pad = ''): () => number {
  return () => Number(store.statement('INSERT INTO tally VALUES (?, ?)').run(n, pad).lastInsertRowid)
}

function stored(store: Store): readonly unknown[] {
  return store
    .statement('SELECT n FROM tally ORDER BY n')
    .all()
    .map((row) => row['n'])
}

test('operations of one tick are one transaction, in order, each with its own answer', async (t) => {
  const store = tally(t)
  let batches = 0
  store.onBatch(() => (batches += 1))
  const answers = await Promise.all(
    [1, 2, 3].map((n) => store.commit(insert(store, n), { durability: n === 2 ? 'full' : 'normal' })),
  )
  assert.deepEqual([answers, stored(store), batches], [[1, 2, 3], [1, 2, 3], 1])
})

test('an operation that throws fails alone, and the others of its tick are committed', async (t) => {
  const store = tally(t)
  const results = await Promise.allSettled([
    store.commit(insert(store, 1)),
    store.commit(() => {
      insert(store, 2)()
      throw new Error('second thoughts')
    }),
    store.commit(insert(store, 1)),
    store.commit(insert(store, 3)),
  ])
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
  )
  assert.deepEqual(stored(store), [1, 3])
})

test('what an operation changed in memory is undone with its transaction, in reverse order', async (t) => {
  const store = tally(t)
  const undone: string[] = []
  await assert.rejects(
    store.commit((transaction) => {
      transaction.onRollback(() => undone.push('first'))
      transaction.onRollback(() => undone.push('second'))
      throw new Error('no')
    }),
  )
  assert.deepEqual(undone, ['second', 'first'])
})

test('afterCommit runs only for what was committed, before the promise resolves', async (t) => {
  const store = tally(t)
  const order: string[] = []
  const good = store
    .commit((transaction) => transaction.afterCommit(() => order.push('committed')))
    .then(() => order.push('resolved'))
  const bad = store.commit((transaction) => {
    transaction.afterCommit(() => order.push('never'))
    throw new Error('no')
  })
  await Promise.allSettled([good, bad])
  assert.deepEqual(order, ['committed', 'resolved'])
})

test('threat row 51: a full disk stalls the writes of a host, and they are made when there is room again', async (t) => {
  let stalls = 0
  const store = tally(t, { diskFull: 'retry', onStall: () => (stalls += 1) })
  const pages = Number(store.statement('PRAGMA page_count').get()?.['page_count'])
  store.statement(`PRAGMA max_page_count=${pages + 1}`).get()
  const writes = [1, 2, 3, 4].map((n) => store.commit(insert(store, n, 'x'.repeat(4_000))))
  await new Promise<void>((resolve) => {
    const look = setInterval(() => {
      if (stalls === 0) return
      clearInterval(look)
      resolve()
    }, 5)
  })
  store.statement('PRAGMA max_page_count=1000000').get()
  await Promise.all(writes)
  assert.deepEqual(stored(store), [1, 2, 3, 4])
})

test('threat row 51: a full disk fails the write of a command, and leaves the registry whole', async (t) => {
  const store = tally(t)
  const pages = Number(store.statement('PRAGMA page_count').get()?.['page_count'])
  store.statement(`PRAGMA max_page_count=${pages + 1}`).get()
  await assert.rejects(store.commit(insert(store, 1, 'x'.repeat(40_000))), /full/)
  assert.equal(store.statement('PRAGMA integrity_check').get()?.['integrity_check'], 'ok')
  assert.deepEqual(stored(store), [])
})

test('closing commits what is queued and refuses what comes after', async (t) => {
  const folder = tempFolder(t)
  const store = openStore({ path: join(folder, 'registry.db') })
  const last = store.commit(() => store.statement('CREATE TABLE late (n)').run().changes)
  await store.close()
  await last
  await assert.rejects(
    store.commit(() => 1),
    { code: 'ABORTED' },
  )
  const again = openStore({ path: join(folder, 'registry.db') })
  atEnd(t, () => again.close())
  assert.equal(again.statement("SELECT COUNT(*) AS n FROM sqlite_schema WHERE name = 'late'").get()?.['n'], 1)
})
