import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MetaToolResult } from '../../../src/kernel/contract.ts'
import { directive, executes, openWorkshop, says } from '../../harness/safety/workshop.ts'

const WORK = { work: directive('work') }
const DONE = () => says('Done.')

function resultOf(answer: MetaToolResult): Record<string, unknown> {
  if (!answer.success) throw new Error(JSON.stringify(answer.error))
  return answer['result'] as Record<string, unknown>
}

test('register spawns under the given id and get_status shows its row', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: DONE })
  const receipt = resultOf(await shop.call('thread_registry', { action: 'register', thread_id: 'r1', directive_id: 'work' }))
  assert.equal(receipt['thread_id'], 'r1')
  await shop.until('r1', 'completed')
  const { thread } = resultOf(await shop.call('thread_registry', { action: 'get_status', thread_id: 'r1' })) as {
    thread: { status: string; end_reason: string }
  }
  assert.deepEqual([thread.status, thread.end_reason], ['completed', 'done'])
})

test('query filters by directive, status and time', async (t) => {
  const shop = await openWorkshop(t, { directives: { ...WORK, other: directive('other') }, scenario: DONE })
  const { thread_id: id } = await shop.run('work')
  await shop.run('other')
  const find = async (filter: Record<string, string>): Promise<unknown[]> => {
    const { threads } = resultOf(await shop.call('thread_registry', { action: 'query', ...filter })) as {
      threads: { thread_id: string }[]
    }
    return threads.map(({ thread_id: found }) => found)
  }
  assert.deepEqual(await find({ directive_id: 'work' }), [id])
  assert.deepEqual(await find({ directive_id: 'work', status: 'running' }), [])
  assert.deepEqual(await find({ directive_id: 'work', created_after: '2999-01-01' }), [])
  assert.equal((await find({ status: 'completed', created_before: '2999-01-01T00:00:00+02:00' })).length, 2)
})

test('unknown actions, threads and statuses fail', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: DONE })
  const codes: string[] = []
  for (const parameters of [
    { action: 'explode' },
    { action: 'get_status', thread_id: 'nobody' },
    { action: 'get_events', thread_id: 'nobody' },
    { action: 'query', status: 'asleep' },
    { action: 'get_status' },
  ]) {
    const answer = await shop.call('thread_registry', parameters)
    codes.push(answer.success ? 'success' : answer.error.code)
  }
  assert.deepEqual(codes, [
    'PARAMETER_VALIDATION_ERROR',
    'THREAD_NOT_FOUND',
    'THREAD_NOT_FOUND',
    'INVALID_REQUEST',
    'INVALID_REQUEST',
  ])
})

test('update_status becomes the signal and refuses what only the thread can do', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    files: { 'a.txt': 'x' },
    scenario: ({ turn }) => (turn < 4 ? executes(['read_file', { path: 'a.txt' }]) : says('Done.')),
  })
  const { thread_id: id, status } = await shop.run('work')
  assert.equal(status, 'waiting')
  const completed = await shop.call('thread_registry', { action: 'update_status', thread_id: id, status: 'completed' })
  assert.equal(completed.success ? 'success' : completed.error.code, 'ILLEGAL_TRANSITION')
  assert.equal(
    resultOf(await shop.call('thread_registry', { action: 'update_status', thread_id: id, status: 'killed' }))['signal'],
    'cancel',
  )
  await shop.until(id, 'cancelled')
  const late = await shop.call('thread_registry', { action: 'update_status', thread_id: id, status: 'paused' })
  assert.equal(late.success ? 'success' : late.error.code, 'ILLEGAL_TRANSITION')
})

test("log_event adds a note and refuses to write the thread's own events", async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: DONE })
  const { thread_id: id } = await shop.run('work')
  const { seq } = resultOf(
    await shop.call('thread_registry', { action: 'log_event', thread_id: id, event_type: 'note', payload: { by: 'me' } }),
  )
  const { events } = resultOf(await shop.call('thread_registry', { action: 'get_events', thread_id: id, last_n: 1 })) as {
    events: { seq: number; event_type: string; payload: unknown }[]
  }
  assert.deepEqual([events[0]?.seq, events[0]?.event_type, events[0]?.payload], [seq, 'note', { by: 'me' }])
  const forged = await shop.call('thread_registry', { action: 'log_event', thread_id: id, event_type: 'completed' })
  assert.equal(forged.success ? 'success' : forged.error.code, 'INVALID_REQUEST')
})

test('read_transcript shows the last events with their text', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: () => says('The answer is 42.') })
  const { thread_id: id } = await shop.run('work')
  const { events, status } = resultOf(await shop.call('read_transcript', { thread_id: id, last_n: 6 })) as {
    events: { type: string; content?: string }[]
    status: string
  }
  assert.equal(status, 'completed')
  assert.equal(events.length, 6)
  assert.equal(events.find(({ type }) => type === 'assistant_message')?.content, 'The answer is 42.')
})

test('wait_thread gives the result, and outside a thread gives up after its time', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { ...WORK, stuck: directive('stuck') },
    scenario: ({ firstUserText }) =>
      firstUserText.includes('"stuck"') ? { reply: { text: 'never' }, fault: { kind: 'stall', after_events: 1 } } : says('Done.'),
  })
  const done = await shop.spawn('work')
  const settled = resultOf(await shop.call('wait_thread', { thread_id: done })) as {
    settled: boolean
    threads: { result: unknown }[]
  }
  assert.deepEqual([settled.settled, settled.threads[0]?.result], [true, { text: 'Done.' }])
  const stuck = await shop.spawn('stuck')
  const open = resultOf(await shop.call('wait_thread', { thread_ids: [done, stuck], timeout_seconds: 0 }))
  assert.deepEqual([open['settled'], (open['threads'] as unknown[]).length], [false, 2])
  await shop.call('cancel_thread', { thread_id: stuck, mode: 'now' })
  await shop.until(stuck, 'cancelled')
})

test('every thread tool is an available item whose metadata can be read', async (t) => {
  const shop = await openWorkshop(t, { scenario: DONE })
  for (const id of [
    'spawn_thread',
    'safety_harness',
    'thread_directive',
    'thread_registry',
    'read_transcript',
    'wait_thread',
    'pause_thread',
    'resume_thread',
    'inject_message',
    'cancel_thread',
  ]) {
    const item = await shop.kernel.find('tool', id)
    assert.deepEqual([item.state.kind, item.space, item.category, item.warnings], ['available', 'system', 'threads', []], id)
  }
})
