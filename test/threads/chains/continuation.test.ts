import assert from 'node:assert/strict'
import test from 'node:test'
import type { StoredMessage } from '../../../src/threads/engine.ts'
import { readStart } from '../../../src/threads/engines/live-thread.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { bench, counting, DONE, ENGINES, request, runner, signal } from '../fixture.ts'

/** Says one line in its first turn and is done; notes what stood before it. */
function telling(seen: (readonly StoredMessage[])[]): ReturnType<typeof runner> {
  return runner(async (context, state) => {
    seen.push([...context.history()])
    await context.step('say', { effect: 'pure', timeoutMs: 1_000 }, async () => ({
      value: 1,
      commit: { messages: [{ role: 'assistant', content: { content: `said by ${context.threadId}` } }] },
    }))
    return [state, DONE]
  })
}

const contents = (client: ThreadsClient, threadId: string): unknown[] =>
  client.messages(threadId).map(({ seq, turn, content }) => [seq, turn, (content as { content?: unknown }).content])

for (const kind of ENGINES) {
  test(`${kind}: a retry begins with the conversation of the thread that ended, under the same numbers`, async (t) => {
    const seen: (readonly StoredMessage[])[] = []
    const { client, until } = bench(t, telling(seen), { kind })
    await client.spawn(request('a'))
    await until('a', 'completed')
    await client.spawn(request('b', { continues: { threadId: 'a', how: 'retry', throughSeq: 1 } }))
    await until('b', 'completed')
    await client.spawn(request('c', { continues: { threadId: 'b', how: 'retry', throughSeq: 2 } }))
    await until('c', 'completed')
    assert.deepEqual(contents(client, 'c'), [
      [1, 0, 'said by a'],
      [2, 0, 'said by b'],
      [3, 1, 'said by c'],
    ])
    assert.deepEqual(
      seen.map((history) => history.map(({ seq, turn }) => [seq, turn])),
      [
        [],
        [[1, 0]],
        [
          [1, 0],
          [2, 0],
        ],
      ],
    )
  })
}

test('threads that continue others are of one chain, which the first one gives its id', async (t) => {
  const { client, store, until } = bench(t, counting(1), { kind: 'memory' })
  await client.spawn(request('a'))
  await client.spawn(request('other'))
  await until('a', 'completed')
  await client.spawn(request('b', { continues: { threadId: 'a', how: 'retry', throughSeq: 1 } }))
  await until('b', 'completed')
  await client.spawn(request('c', { continues: { threadId: 'b', how: 'fork', throughSeq: 0 } }))
  assert.deepEqual(
    client.list({ chain_id: 'a', order_by: 'created_at' }).map((row) => [row.thread_id, row.chain_id, row.continues]),
    [
      ['a', 'a', null],
      ['b', 'a', { thread_id: 'a', how: 'retry' }],
      ['c', 'a', { thread_id: 'b', how: 'fork' }],
    ],
  )
  assert.deepEqual(client.list({ chain_id: 'b' }), [])
  assert.deepEqual(client.events('b')[0]?.payload['continues'], { thread_id: 'a', how: 'retry', through_seq: 1 })
  const start = readStart(store, 'c')
  assert.deepEqual(
    [start?.chainId, start?.continues, start?.onParentEnd],
    ['a', { threadId: 'b', how: 'fork', throughSeq: 0 }, 'cancel'],
  )
})

test('a fork takes the conversation up to where it was asked to, of a thread that still works too', async (t) => {
  const asked = runner(async (context, state) => {
    context.record({ messages: [{ role: 'assistant', content: { content: `turn ${context.turn}` } }] })
    return [state, context.turn === 3 ? { do: 'wait', reason: 'escalated' } : { do: 'turn' }]
  })
  const { client, until } = bench(t, asked, { kind: 'memory' })
  await client.spawn(request('a'))
  await until('a', 'waiting')
  await client.spawn(request('b', { continues: { threadId: 'a', how: 'fork', throughSeq: 2 } }))
  assert.deepEqual(contents(client, 'b').slice(0, 2), [
    [1, 0, 'turn 1'],
    [2, 0, 'turn 2'],
  ])
  assert.deepEqual(client.get('a').continued_by, null)
  const row = await until('b', 'waiting')
  assert.deepEqual([row.turn, client.messages('b').length], [3, 5])
})

test('more messages than there are is all of them, and the start says how many that was', async (t) => {
  const { client, store, until } = bench(t, counting(2), { kind: 'memory' })
  await client.spawn(request('a'))
  await until('a', 'completed')
  await client.spawn(request('b', { continues: { threadId: 'a', how: 'retry', throughSeq: 1_000 } }))
  assert.equal(readStart(store, 'b')?.continues?.throughSeq, 2)
})

test('a thread that has not ended is not retried, and the refusal says what to do instead', async (t) => {
  const { client, until } = bench(
    t,
    runner(async (_context, state) => [state, { do: 'wait', reason: 'approval' }]),
    { kind: 'memory' },
  )
  await client.spawn(request('a'))
  await until('a', 'waiting')
  const retry = request('b', { continues: { threadId: 'a', how: 'retry', throughSeq: 0 } })
  await assert.rejects(client.spawn(retry), (error: { code: string; context: { facts: unknown; suggestion: string } }) => {
    assert.equal(error.code, 'ILLEGAL_TRANSITION')
    assert.deepEqual(error.context.facts, { thread_id: 'a', newest_thread_id: 'a', status: 'waiting' })
    assert.match(error.context.suggestion, /cancel it and retry it then/)
    return true
  })
  assert.deepEqual(
    client.list().map(({ thread_id: id }) => id),
    ['a'],
  )
  await client.signal('a', signal('cancel'))
  await until('a', 'cancelled')
  await client.spawn(retry)
})

test('a thread that does not exist is not continued, nor any up to a message without a number', async (t) => {
  const { client, until } = bench(t, counting(1), { kind: 'memory' })
  await client.spawn(request('a'))
  await until('a', 'completed')
  const continuing = (threadId: string, throughSeq: number): Promise<unknown> =>
    client.spawn(request('b', { continues: { threadId, how: 'fork', throughSeq } }))
  await assert.rejects(continuing('nobody', 1), { code: 'THREAD_NOT_FOUND' })
  for (const seq of [-1, 0.5, Number.NaN]) await assert.rejects(continuing('a', seq), { code: 'INVALID_REQUEST' })
  assert.equal(client.list().length, 1)
})

test('a start that was stored before there were chains is read as that of a thread which continues none', async (t) => {
  const { client, store } = bench(t, counting(1), { kind: 'memory' })
  await client.spawn(request('a'))
  store
    .statement("UPDATE thread_starts SET start_json = json_remove(start_json, '$.chainId', '$.continues', '$.onParentEnd')")
    .run()
  const start = readStart(store, 'a')
  assert.deepEqual([start?.chainId, start?.continues, start?.onParentEnd, start?.harness], ['a', null, 'cancel', 'script'])
})
