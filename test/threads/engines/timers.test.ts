import assert from 'node:assert/strict'
import test from 'node:test'
import { createTimers } from '../../../src/threads/engines/timers.ts'

test('a thread that parks while its host closes leaves no timer that would keep the process', () => {
  const timers = createTimers(Date.now, () => assert.fail('nothing is due'))
  timers.set('a', Date.now() + 3_600_000)
  timers.close()
  timers.set('b', Date.now() + 3_600_000)
  assert.equal(timers.count(), 0)
})
