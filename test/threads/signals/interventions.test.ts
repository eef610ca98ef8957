import assert from 'node:assert/strict'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { clientOn, told } from '../asking.ts'
import { atEnd, request, signal } from '../fixture.ts'

const LIBRARY = { kind: 'operator', door: 'library' }

/** A registry whose threads nobody runs, with the thread `a`. */
async function alone(t: TestContext): Promise<{ client: ThreadsClient; store: Store }> {
  const store = openStore({ path: ':memory:' })
  atEnd(t, () => store.close())
  const client = clientOn(store)
  await client.spawn(request('a', { grantedNano: 100 }))
  return { client, store }
}

test('whatever somebody does to a thread is logged with who did it and why', async (t) => {
  const { client } = await alone(t)
  const by = { kind: 'thread', thread_id: 'parent', token: 'jti-1' }
  await client.signal('a', signal('inject', { content: 'secret plan', role: 'system', by, reason: 'It went astray.' }))
  await client.signal('a', signal('pause', { message: 'Wait.' }))
  await client.signal('a', signal('resume', { add_turns: 3 }))
  await client.signal('a', signal('budget', { add_usd: 0.25, add_tokens: 10, add_tool_calls: 1, add_seconds: 5 }))
  await client.signal('a', signal('sink', { destination: { type: 'file_sink', path: 'x.jsonl' } }))
  await client.signal('a', signal('cancel', { mode: 'graceful' }))
  const own = (action: string): object => ({ action, by: LIBRARY, reason: null, signal_id: `${action}-1` })
  assert.deepEqual(
    told(client, 'a').map(({ payload }) => payload),
    [
      { action: 'inject', by, reason: 'It went astray.', signal_id: 'inject-1', role: 'system' },
      own('pause'),
      { ...own('resume'), add_turns: 3 },
      { ...own('budget'), add_usd: 0.25, add_tokens: 10, add_tool_calls: 1, add_seconds: 5 },
      { ...own('sink'), destination: 'file_sink' },
      { ...own('cancel'), mode: 'graceful' },
    ],
  )
})

test('signals of the engine are no interventions', async (t) => {
  const { client } = await alone(t)
  for (const kind of ['child_done', 'child_waiting', 'timer'] as const) await client.signal('a', signal(kind))
  assert.deepEqual(told(client, 'a'), [])
})

test('a signal that is sent twice is one intervention', async (t) => {
  const { client } = await alone(t)
  await Promise.all([1, 2, 3].map(() => client.signal('a', signal('inject', { content: 'x' }))))
  assert.equal(told(client, 'a').length, 1)
})

test('a signal that is refused is no intervention', async (t) => {
  const { client } = await alone(t)
  await client.spawn(request('child', { parentThreadId: 'a', grantedNano: 60 }))
  await assert.rejects(client.signal('child', signal('budget', { add_usd: 1 })), { code: 'BUDGET_EXCEEDED' })
  await assert.rejects(client.signal('child', signal('resume')), { code: 'ILLEGAL_TRANSITION' })
  await assert.rejects(client.signal('child', signal('pause', { by: { kind: 'operator' } })), { code: 'INVALID_REQUEST' })
  await assert.rejects(client.signal('child', signal('inject', { content: 'x'.repeat(1_100_000) })), { code: 'LIMIT_EXCEEDED' })
  assert.deepEqual(told(client, 'child'), [])
})

test('an event stays small whatever the caller sends', async (t) => {
  const { client } = await alone(t)
  const long = 'x'.repeat(100_000)
  await client.signal('a', signal('inject', { content: long, reason: long, role: long }))
  assert.ok(JSON.stringify(told(client, 'a')).length < 3_000)
})

test('a cancel is logged in every thread that it reaches, with the thread that it came from', async (t) => {
  const { client, store } = await alone(t)
  await client.spawn(request('b', { parentThreadId: 'a' }))
  await client.spawn(request('c', { parentThreadId: 'b' }))
  const by = { kind: 'operator', door: 'cli' }
  await client.signal('a', signal('cancel', { by, reason: 'Enough.' }))
  const reached = { action: 'cancel', by, reason: 'Enough.', signal_id: 'cancel-1:below:a', because_of: 'a' }
  assert.deepEqual(
    ['b', 'c'].map((id) => told(client, id).map(({ payload }) => payload)),
    [[reached], [reached]],
  )
  assert.deepEqual(
    store
      .statement('SELECT thread_id, cancel_mode FROM threads ORDER BY registry_id')
      .all()
      .map((row) => Object.values(row)),
    [
      ['a', 'now'],
      ['b', 'now'],
      ['c', 'now'],
    ],
  )
})

test('a cancel reaches a thread below that took another signal of the same id', async (t) => {
  const { client, store } = await alone(t)
  await client.spawn(request('b', { parentThreadId: 'a' }))
  await client.signal('b', signal('inject', { content: 'x' }, 'same'))
  await client.signal('a', signal('cancel', {}, 'same'))
  assert.equal(store.statement("SELECT cancel_mode FROM threads WHERE thread_id = 'b'").get()?.['cancel_mode'], 'now')
})

test('a cancel that becomes urgent is told again below, and one that does not is not', async (t) => {
  const { client, store } = await alone(t)
  await client.spawn(request('b', { parentThreadId: 'a' }))
  await client.signal('a', signal('cancel', { mode: 'graceful' }, 'soft'))
  await client.signal('a', signal('cancel', { mode: 'graceful' }, 'soft again'))
  await client.signal('a', signal('cancel', {}, 'hard'))
  await client.signal('a', signal('cancel', { mode: 'graceful' }, 'soft at last'))
  assert.deepEqual(
    told(client, 'b').map(({ payload }) => payload['signal_id']),
    ['soft:below:a', 'hard:below:a'],
  )
  assert.deepEqual(
    store
      .statement('SELECT cancel_mode FROM threads')
      .all()
      .map((row) => row['cancel_mode']),
    ['now', 'now'],
  )
})

test('a cancel leaves detached threads and what is below them alone, and says which', async (t) => {
  const { client, store } = await alone(t)
  await client.spawn(request('kept', { parentThreadId: 'a', grantedNano: 10, onParentEnd: 'detach' }))
  await client.spawn(request('below_kept', { parentThreadId: 'kept' }))
  await client.spawn(request('b', { parentThreadId: 'a' }))
  await client.spawn(request('kept_too', { parentThreadId: 'b', grantedNano: 10, onParentEnd: 'detach' }))
  await client.signal('a', signal('cancel'))
  const modes = store.statement('SELECT thread_id, cancel_mode FROM threads ORDER BY registry_id').all()
  assert.deepEqual(
    modes.map((row) => Object.values(row)),
    [
      ['a', 'now'],
      ['kept', null],
      ['below_kept', null],
      ['b', 'now'],
      ['kept_too', null],
    ],
  )
  assert.deepEqual(told(client, 'a')[0]?.payload['detached'], ['kept', 'kept_too'])
  assert.deepEqual([told(client, 'kept'), told(client, 'below_kept')], [[], []])
  await client.signal('kept', signal('cancel'))
  assert.equal(told(client, 'below_kept')[0]?.payload['because_of'], 'kept')
})
