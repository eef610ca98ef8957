import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createThreadWatch, type ThreadChanges } from '../../src/mcp/thread-watch.ts'
import type { ThreadsClient } from '../../src/threads/threads-client.ts'
import { request } from '../threads/fixture.ts'
import { eventually, threadsAlone } from './serving-fixture.ts'

/** Counts the reads of rows, which cost, beside those of the version, which do not. */
function counted(client: ThreadsClient): {
  readonly threads: ThreadsClient
  readonly counts: { lists: number; versions: number }
} {
  const counts = { lists: 0, versions: 0 }
  const threads: ThreadsClient = {
    ...client,
    list(query) {
      counts.lists += 1
      return client.list(query)
    },
    version() {
      counts.versions += 1
      return client.version()
    },
  }
  return { threads, counts }
}

test('a listener is told of a new thread once, and of nothing while nothing is written', async () => {
  const { threads, counts } = counted(threadsAlone())
  const watch = createThreadWatch({ threads: async () => threads, everyMs: 5 })
  const told: ThreadChanges[] = []
  const stop = watch.listen((changes) => void told.push(changes))
  await threads.spawn(request('a'))
  await eventually('the new thread', () => told.length === 1)
  assert.deepEqual(told, [{ updated: ['a'], hasNew: true, questions: false }])
  const { lists, versions } = counts
  await eventually('more looks', () => counts.versions >= versions + 5)
  assert.equal(counts.lists, lists)
  assert.equal(told.length, 1)
  stop()
  threads.close()
})

test('a listener is told of a thread whose log grew while its row stayed as it was', async () => {
  const { threads, counts } = counted(threadsAlone())
  for (const id of ['a', 'b']) await threads.spawn(request(id))
  const watch = createThreadWatch({ threads: async () => threads, everyMs: 5 })
  const told: string[] = []
  watch.listen(({ updated }) => void told.push(...updated))
  await eventually('what was there', () => told.length === 2)
  const { versions } = counts
  await eventually('more looks', () => counts.versions >= versions + 5)
  await threads.logEvent('b', 'note', { text: 'half-way' })
  await eventually('the event', () => told.length === 3)
  assert.deepEqual(told.toSorted(), ['a', 'b', 'b'])
  watch.close()
  threads.close()
})

test('all listeners share one watch, which ends with the last of them and begins again', async () => {
  const { threads, counts } = counted(threadsAlone())
  const watch = createThreadWatch({ threads: async () => threads, everyMs: 5 })
  const told: string[] = []
  const stops = ['one', 'two'].map((name) => watch.listen(() => void told.push(name)))
  await threads.spawn(request('a'))
  await eventually('both', () => told.length === 2)
  for (const stop of stops) stop()
  const { versions } = counts
  const again = watch.listen(({ updated }) => void told.push(...updated))
  await eventually('one look of a new watch', () => counts.versions > versions)
  await threads.spawn(request('b'))
  await eventually('the second thread', () => told.includes('b'))
  again()
  watch.close()
  threads.close()
})

test('a registry that cannot be read is looked at again', async () => {
  const threads = threadsAlone()
  let failures = 0
  const watch = createThreadWatch({
    everyMs: 5,
    threads: async () => {
      failures += 1
      if (failures < 3) throw new Error('locked')
      return threads
    },
  })
  const told: string[] = []
  watch.listen(({ updated }) => void told.push(...updated))
  await threads.spawn(request('a'))
  await eventually('the thread', () => told.includes('a'))
  watch.close()
  threads.close()
})
