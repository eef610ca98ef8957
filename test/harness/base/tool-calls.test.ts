import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ToolCall } from '../../../src/harness/base/conversation.ts'
import { runToolCalls } from '../../../src/harness/base/tool-calls.ts'

const calls = (count: number): readonly ToolCall[] =>
  Array.from({ length: count }, (_, at) => ({ id: `c${at}`, name: 't', arguments: {} }))

test('calls start in call order, four at a time, and results stand in call order', async () => {
  const started: string[] = []
  const gates = calls(6).map(() => Promise.withResolvers<void>())
  const running = runToolCalls(calls(6), async ({ id }, { index }) => {
    started.push(id)
    await gates[index]?.promise
    return id
  })
  assert.deepEqual(started, ['c0', 'c1', 'c2', 'c3'])
  gates[2]?.resolve()
  await gates[2]?.promise
  await Promise.resolve()
  assert.deepEqual(started, ['c0', 'c1', 'c2', 'c3', 'c4'])
  for (const gate of gates.toReversed()) gate.resolve()
  assert.deepEqual(await running, ['c0', 'c1', 'c2', 'c3', 'c4', 'c5'])
})

test('after a rejection no further call starts, and the running ones settle before it is thrown', async () => {
  const settled: string[] = []
  const slow = Promise.withResolvers<void>()
  const running = runToolCalls(
    calls(5),
    async ({ id }) => {
      if (id === 'c1') throw new Error('lost lease')
      await slow.promise
      settled.push(id)
      return id
    },
    { concurrency: 2 },
  )
  slow.resolve()
  await assert.rejects(running, /lost lease/)
  assert.deepEqual(settled, ['c0'])
})

test('an abort starts nothing more and is thrown as its reason', async () => {
  const controller = new AbortController()
  const started: string[] = []
  const running = runToolCalls(
    calls(3),
    async ({ id }) => {
      started.push(id)
      controller.abort(new Error('cancelled by the user'))
      return id
    },
    { concurrency: 1, signal: controller.signal },
  )
  await assert.rejects(running, /cancelled by the user/)
  assert.deepEqual(started, ['c0'])
})

test('no calls give no results, and a concurrency of 0 is a wrong call', async () => {
  assert.deepEqual(await runToolCalls([], () => Promise.resolve('x')), [])
  await assert.rejects(
    runToolCalls(calls(1), () => Promise.resolve('x'), { concurrency: 0 }),
    /positive integer, got 0/,
  )
})
