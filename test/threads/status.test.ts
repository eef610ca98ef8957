import assert from 'node:assert/strict'
import test from 'node:test'
import type { Status } from '../../src/threads/engine.ts'
import {
  allowedSignals,
  assertTransition,
  canTransition,
  exitCodeOf,
  isTerminal,
  needsPerson,
  readStatus,
  STATUSES,
  statusOf,
} from '../../src/threads/status.ts'

test('a thread that has ended goes nowhere and takes no signal', () => {
  const ended = STATUSES.filter(isTerminal)
  assert.deepEqual(ended, ['completed', 'error', 'cancelled'])
  assert.deepEqual(
    ended.flatMap((status) => [...STATUSES.filter((to) => canTransition(status, to)), ...allowedSignals(status)]),
    [],
  )
})

test('a thread that lives takes another sink, and hears that a child waits, in every status', () => {
  const living = STATUSES.filter((status) => !isTerminal(status))
  assert.deepEqual(
    living.filter((status) => !allowedSignals(status).includes('sink') || !allowedSignals(status).includes('child_waiting')),
    [],
  )
})

test('only these transitions are legal', () => {
  const legal = (from: Status): readonly Status[] => STATUSES.filter((to) => canTransition(from, to))
  assert.deepEqual(legal('spawning'), ['running', 'paused', 'error', 'cancelled'])
  assert.deepEqual(legal('running'), ['paused', 'waiting', 'completed', 'error', 'cancelled'])
  assert.deepEqual(legal('paused'), ['running', 'waiting', 'error', 'cancelled'])
  assert.deepEqual(legal('waiting'), ['running', 'paused', 'error', 'cancelled'])
})

test('an illegal transition names the thread, both statuses and what would be legal', () => {
  assert.throws(() => assertTransition('t1', 'completed', 'running'), {
    code: 'ILLEGAL_TRANSITION',
    message: 'Thread t1 cannot go from completed to running.',
  })
  assert.throws(
    () => assertTransition('t1', 'waiting', 'completed'),
    (error: { context: { facts: unknown } }) => {
      assert.deepEqual(error.context.facts, {
        thread_id: 't1',
        from: 'waiting',
        to: 'completed',
        allowed: ['running', 'paused', 'error', 'cancelled'],
      })
      return true
    },
  )
})

test('every end reason has its status and its exit code', () => {
  assert.deepEqual([statusOf('done'), statusOf('cost_exceeded'), statusOf('cancelled')], ['completed', 'error', 'cancelled'])
  assert.equal(exitCodeOf('completed', 'done', null), 0)
  assert.equal(exitCodeOf('error', 'stream_failed', null), 1)
  assert.equal(exitCodeOf('error', 'permission_denied', null), 3)
  assert.equal(exitCodeOf('error', 'context_exceeded', null), 4)
  assert.equal(exitCodeOf('cancelled', 'cancelled', null), 1)
  assert.equal(exitCodeOf('waiting', null, 'approval'), 5)
  assert.equal(exitCodeOf('waiting', null, 'children'), null)
  assert.equal(exitCodeOf('running', null, null), null)
})

test('a thread needs a person when it is paused or waits for one, not when it waits for children or time', () => {
  assert.ok(needsPerson('paused', null) && needsPerson('waiting', 'loop_detected'))
  assert.ok(!needsPerson('waiting', 'children') && !needsPerson('waiting', 'timer') && !needsPerson('running', null))
})

test('older status names are read as the ones of today', () => {
  assert.deepEqual(readStatus('terminated'), { status: 'cancelled', cancelIntent: false })
  assert.deepEqual(readStatus('killed'), { status: 'cancelled', cancelIntent: false })
  assert.deepEqual(readStatus('terminating'), { status: 'running', cancelIntent: true })
  assert.deepEqual(readStatus('paused'), { status: 'paused', cancelIntent: false })
  assert.equal(readStatus('sleeping'), null)
})
