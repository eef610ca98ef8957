import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { withDeadline } from '../../src/mcp/deadline.ts'

const never = (): Promise<never> => new Promise(() => undefined)

test('work that ends in time gives its value and leaves its signal alone', async () => {
  const seen: AbortSignal[] = []
  const outcome = await withDeadline({ deadlineMs: 60_000, signals: [] }, async (signal) => {
    seen.push(signal)
    return 7
  })
  assert.deepEqual(outcome, { kind: 'done', value: 7 })
  assert.equal(seen[0]?.aborted, false)
})

test('work that is late is left with an aborted signal', async () => {
  const seen: AbortSignal[] = []
  const outcome = await withDeadline({ deadlineMs: 1, signals: [] }, (signal) => {
    seen.push(signal)
    return never()
  })
  assert.deepEqual(outcome, { kind: 'late' })
  assert.equal(seen[0]?.aborted, true)
})

test('a cancelling caller aborts the work at once', async () => {
  const caller = new AbortController()
  const outcome = withDeadline({ deadlineMs: 60_000, signals: [new AbortController().signal, caller.signal] }, async (signal) => {
    caller.abort()
    if (!signal.aborted) await once(signal, 'abort')
    return never()
  })
  assert.deepEqual(await outcome, { kind: 'cancelled' })
})

test('a call that was cancelled before it began is not waited for', async () => {
  assert.deepEqual(await withDeadline({ deadlineMs: 60_000, signals: [AbortSignal.abort()] }, never), { kind: 'cancelled' })
})

test('a failure of the work is the failure of the call', async () => {
  const call = withDeadline({ deadlineMs: 60_000, signals: [] }, async () => {
    throw new Error('broken')
  })
  await assert.rejects(call, /broken/u)
})
