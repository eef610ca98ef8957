import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { waitCall } from '../../../src/mcp/questions/wait-call.ts'

const OPTIONS = { projectPath: '/the/project', deadlineMs: 45_000 }

const call = (parameters: unknown, more: object = {}): Parameters<typeof waitCall>[0] => ({
  name: 'execute',
  arguments: { item_type: 'tool', item_id: 'wait_thread', parameters, ...more },
})

test('a call that waits names its threads, its project and how long it may take', () => {
  const wait = waitCall(call({ thread_id: 'a', thread_ids: ['b', 7] }), OPTIONS)
  assert.deepEqual([wait?.threadIds, wait?.projectPath, wait?.timeoutMs], [['a', 'b'], '/the/project', 44_000])
  assert.equal(waitCall(call({ thread_id: 'a', timeout_seconds: 3 }), OPTIONS)?.timeoutMs, 3_000)
  assert.equal(waitCall(call({ thread_id: 'a', timeout_seconds: 900 }), OPTIONS)?.timeoutMs, 44_000)
  assert.equal(waitCall(call({ thread_id: 'a' }), { ...OPTIONS, deadlineMs: 3_000 })?.timeoutMs, 2_000)
  assert.ok(waitCall(call({ thread_id: 'a' }, { project_path: tmpdir() }), OPTIONS)?.projectPath.startsWith('/'))
})

test('it is made again with another time, and with what is wrong with it', () => {
  const again = (parameters: object): unknown => waitCall(call(parameters), OPTIONS)?.given(1_500)['parameters']
  assert.deepEqual(again({ thread_id: 'a', timeout_seconds: 30 }), { thread_id: 'a', timeout_seconds: 1.5 })
  assert.deepEqual(again({ thread_id: 'a', timeout_seconds: 'x', z: 1 }), { thread_id: 'a', timeout_seconds: 'x', z: 1 })
})

test('all other calls, and those that will be refused, are none', () => {
  for (const other of [
    { name: 'search', arguments: {} },
    { name: 'execute' },
    { name: 'execute', arguments: { item_type: 'tool', item_id: 'read_file', parameters: { thread_id: 'a' } } },
    call(null),
    call({}),
    call({ thread_id: 7 }),
    call({ thread_id: 'a' }, { cursor: 'x' }),
    call({ thread_id: 'a' }, { project_path: 'relative' }),
    call({ thread_id: 'a' }, { project_path: 7 }),
  ])
    assert.equal(waitCall(other, OPTIONS), null, JSON.stringify(other))
})
