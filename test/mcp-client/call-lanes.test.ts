import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCallLanes } from '../../src/mcp-client/call-lanes.ts'
import { McpFailure } from '../../src/mcp-client/contract.ts'

const PLACE = { limit: 1, timeoutMs: 20_000, server: 'peer' }

const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  await promise.then(
    () => 'none',
    (error: unknown) => (error instanceof McpFailure ? error.code : String(error)),
  )

test('calls of one lane take turns in the order in which they came', async () => {
  const lanes = createCallLanes()
  const order: number[] = []
  const leave = await lanes.enter('a', PLACE)
  const later = [1, 2, 3].map(async (number) => {
    const leaveLater = await lanes.enter('a', PLACE)
    order.push(number)
    leaveLater()
  })
  assert.deepEqual(order, [])
  leave()
  await Promise.all(later)
  assert.deepEqual(order, [1, 2, 3])
})

test('lanes do not wait for each other', async () => {
  const lanes = createCallLanes()
  await lanes.enter('a', PLACE)
  const leave = await lanes.enter('b', PLACE)
  leave()
})

test('a place that is given back twice is one place', async () => {
  const lanes = createCallLanes()
  const leave = await lanes.enter('a', PLACE)
  leave()
  leave()
  await lanes.enter('a', PLACE)
  assert.equal(await codeOf(lanes.enter('a', { ...PLACE, timeoutMs: 1 })), 'TIMEOUT')
})

test('a caller that is cancelled while it waits takes no place', async () => {
  const lanes = createCallLanes()
  const leave = await lanes.enter('a', PLACE)
  const controller = new AbortController()
  const waiting = lanes.enter('a', { ...PLACE, signal: controller.signal })
  const next = lanes.enter('a', PLACE)
  controller.abort()
  assert.equal(await codeOf(waiting), 'ABORTED')
  leave()
  assert.equal(await codeOf(next), 'none')
})

test('a queue has an end', async () => {
  const lanes = createCallLanes({ maxQueued: 1 })
  const leave = await lanes.enter('a', PLACE)
  const waiting = lanes.enter('a', PLACE)
  assert.equal(await codeOf(lanes.enter('a', PLACE)), 'LIMIT_EXCEEDED')
  leave()
  assert.equal(await codeOf(waiting), 'none')
})

test('several places that become free let several callers in', async () => {
  const lanes = createCallLanes()
  const leave = await lanes.enter('a', PLACE)
  const narrow = lanes.enter('a', PLACE)
  const wide = [1, 2].map(async () => await lanes.enter('a', { ...PLACE, limit: 3 }))
  leave()
  ;(await narrow)()
  await Promise.all(wide)
})
