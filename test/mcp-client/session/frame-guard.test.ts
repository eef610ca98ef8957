import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { JsonObject } from '../../../src/json.ts'
import { createFloodMeter } from '../../../src/mcp-client/session/flood-meter.ts'
import type { FloodMeter } from '../../../src/mcp-client/session/flood-meter.ts'
import { createFrameGuard } from '../../../src/mcp-client/session/frame-guard.ts'
import type { FrameGuard } from '../../../src/mcp-client/session/frame-guard.ts'
import { isWithinBounds } from '../../../src/primitives/json-text/json-bounds.ts'
import { walkTools } from '../../../src/mcp-client/session/tool-list.ts'

function guardWith(more: { maxMessageBytes?: number; meter?: FloodMeter } = {}): {
  guard: FrameGuard
  violations: string[]
  notified: string[]
} {
  const violations: string[] = []
  const notified: string[] = []
  const guard = createFrameGuard({
    maxMessageBytes: 1_000,
    onViolation: (violation) => violations.push(violation),
    onNotification: (method) => notified.push(method),
    ...more,
  })
  return { guard, violations, notified }
}

const request = (id: number | string) => ({ jsonrpc: '2.0' as const, id, method: 'tools/list' })
const cancel = (requestId: number) => ({ jsonrpc: '2.0' as const, method: 'notifications/cancelled', params: { requestId } })
const answer = (id: unknown, more: object = { result: {} }): string => JSON.stringify({ jsonrpc: '2.0', id, ...more })

describe('the frame guard', () => {
  test('lets the one answer to a request pass, without members that nobody knows', () => {
    const { guard, violations } = guardWith()
    guard.sent(request(0))
    assert.deepEqual(guard.message(answer(0, { result: { a: 1 }, extra: true })), { jsonrpc: '2.0', id: 0, result: { a: 1 } })
    assert.deepEqual([violations, guard.pendingCount()], [[], 0])
  })

  const wrong: readonly (readonly [string, string, string])[] = [
    ['an id that was not sent', answer(7), 'unknown_id'],
    ['the id as text', answer('0'), 'unknown_id'],
    ['no id', JSON.stringify({ jsonrpc: '2.0', error: { code: 1, message: 'x' } }), 'unknown_id'],
    ['a result and an error', answer(0, { result: {}, error: { code: 1, message: 'x' } }), 'result_and_error'],
    ['neither', answer(0, {}), 'not_json_rpc'],
    ['a result that is no object', answer(0, { result: [1] }), 'not_json_rpc'],
    ['an error without a code', answer(0, { error: { message: 'x' } }), 'not_json_rpc'],
    ['an id that is no id', answer({ a: 1 }), 'not_json_rpc'],
    ['a fraction as the id', answer(0.5), 'not_json_rpc'],
    ['another version', JSON.stringify({ jsonrpc: '1.0', id: 0, result: {} }), 'not_json_rpc'],
    ['no JSON', '{', 'not_json_rpc'],
    ['a batch as a line', `[${answer(0)}]`, 'not_json_rpc'],
    ['parameters that are a list', JSON.stringify({ jsonrpc: '2.0', method: 'x', params: [] }), 'not_json_rpc'],
    ['a request', JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'roots/list' }), 'not_granted'],
    ['more bytes than allowed', answer(0, { result: { text: 'ü'.repeat(500) } }), 'message_too_long'],
  ]
  for (const [what, text, violation] of wrong) {
    test(`threat row 34: ${what} in place of an answer is a violation, after which nothing passes`, () => {
      const { guard, violations } = guardWith()
      guard.sent(request(0))
      assert.equal(guard.message(text), null)
      assert.equal(guard.message(answer(0)), null)
      assert.deepEqual(violations, [violation])
    })
  }

  test('threat row 34: a second answer is a violation, for a number and for a name', () => {
    for (const id of [0, 'listen:0']) {
      const { guard, violations } = guardWith()
      guard.sent(request(id))
      assert.notEqual(guard.message(answer(id)), null)
      assert.equal(guard.message(answer(id)), null)
      assert.deepEqual(violations, ['duplicate_id'])
    }
  })

  test('one late answer to a request that was given up is dropped, a second one is a violation', () => {
    const { guard, violations } = guardWith()
    guard.sent(request(0))
    guard.sent(cancel(0))
    assert.deepEqual([guard.message(answer(0)), violations], [null, []])
    assert.deepEqual([guard.message(answer(0)), violations], [null, ['duplicate_id']])
  })

  test('threat row 34: what nobody asked for is counted, answers are not', () => {
    const meter = createFloodMeter({ burstMessages: 2, messagesPerSecond: 0, burstBytes: 1e6, bytesPerSecond: 0 })
    const { guard, violations, notified } = guardWith({ meter })
    const note = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message' })
    for (let id = 0; id < 5; id += 1) {
      guard.sent(request(id))
      assert.notEqual(guard.message(answer(id)), null)
    }
    assert.deepEqual([guard.message(note), guard.message(note)].includes(null), false)
    assert.deepEqual([guard.message(note), violations, notified.length], [null, ['flood'], 2])
  })

  test('the body of an answer may be a batch, of which every message is judged', () => {
    const { guard, violations } = guardWith()
    guard.sent(request(0))
    guard.sent(request(1))
    assert.equal(guard.messages(`[${answer(0)},${answer(1)}]`).length, 2)
    guard.sent(request(2))
    assert.equal(guard.messages(`[${answer(2)},${answer(2)}]`).length, 1)
    assert.deepEqual(violations, ['duplicate_id'])
  })
})

describe('the flood meter', () => {
  test('forgets with time', () => {
    let nowMs = 0
    const meter = createFloodMeter({ burstMessages: 2, messagesPerSecond: 1, burstBytes: 100, bytesPerSecond: 10 }, () => nowMs)
    assert.deepEqual([meter.take(1, 1), meter.take(1, 1), meter.take(1, 1)], [true, true, false])
    nowMs = 2_000
    assert.equal(meter.take(1, 1), true)
    assert.equal(meter.take(0, 200), false)
  })
})

describe('the bounds of JSON', () => {
  const bounds = { maxDepth: 3, maxValues: 6 }
  test('are those of its values, not of its texts', () => {
    assert.equal(isWithinBounds('{"a":[[1]]}', bounds), true)
    assert.equal(isWithinBounds('{"a":[[[1]]]}', bounds), false)
    assert.equal(isWithinBounds('["[[[[,,,,,,,,", "\\"[[[[", "\\\\"]', bounds), true)
    assert.equal(isWithinBounds('["\\\\", [[[1]]]]', bounds), false)
    assert.equal(isWithinBounds('[1,2,3,4,5]', bounds), true)
    assert.equal(isWithinBounds('[1,2,3,4,5,6]', bounds), false)
    assert.equal(isWithinBounds('"never ends [[[[[[', bounds), true)
  })
})

describe('a list of tools', () => {
  const tool = { name: 'a', inputSchema: { type: 'object' } }

  test('is all of its pages, with what is known of a tool and nothing else', async () => {
    const asked: unknown[] = []
    const pages = [{ tools: [{ ...tool, title: 'A', icons: [] }], nextCursor: 'two' }, { tools: [{ ...tool, name: 'b' }] }]
    const walk = await walkTools((params) => {
      asked.push(params)
      return Promise.resolve(pages[asked.length - 1] ?? {})
    })
    assert.deepEqual(walk, {
      kind: 'complete',
      tools: [
        { ...tool, title: 'A' },
        { ...tool, name: 'b' },
      ],
    })
    assert.deepEqual(asked, [undefined, { cursor: 'two' }])
  })

  test('threat row 34: is given up as soon as a page comes back, or at more tools than anybody can use', async () => {
    const askedUntil = async (page: (asked: number) => JsonObject): Promise<[string, number]> => {
      let asked = 0
      const walk = await walkTools(() => Promise.resolve(page((asked += 1))))
      return [walk.kind === 'violation' ? walk.violation : '', asked]
    }
    const many = Array.from({ length: 1_000 }, () => tool)
    assert.deepEqual(await askedUntil((asked) => ({ tools: [tool], nextCursor: asked % 2 === 0 ? 'a' : 'b' })), [
      'endless_pages',
      3,
    ])
    assert.deepEqual(await askedUntil((asked) => ({ tools: many, nextCursor: String(asked) })), ['endless_pages', 3])
    assert.deepEqual(await askedUntil((asked) => ({ tools: [], nextCursor: String(asked) })), ['endless_pages', 64])
  })

  for (const page of [
    {},
    { tools: [{}] },
    { tools: [{ ...tool, inputSchema: [] }] },
    { tools: [{ ...tool, title: 1 }] },
    { tools: [], nextCursor: 5 },
  ]) {
    test(`that is ${JSON.stringify(page)} is none`, async () => {
      const walk = await walkTools(() => Promise.resolve(page))
      assert.equal(walk.kind === 'violation' && walk.violation, 'bad_result')
    })
  }
})
