import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../../src/json.ts'
import { ForbiddenKeyError, mergeChain, mergeConfig } from '../../../src/kernel/chain/merge.ts'
import type { ToolDefinition } from '../../../src/kernel/items/item.ts'

function link(config: JsonObject, retry: JsonObject | null = null): ToolDefinition {
  return {
    kind: 'tool',
    toolId: 't',
    toolType: 'http',
    version: '1.0.0',
    executorId: null,
    config,
    inputSchema: null,
    requires: [],
    retry,
    effect: 'once',
    loop: null,
    approval: null,
    configSchema: null,
    dependencies: {},
    module: false,
  }
}

test('maps merge at every depth while lists and scalars are replaced by the nearer link', () => {
  const merged = mergeConfig({ a: { x: 1, y: [1, 2] }, b: 1 }, { a: { y: [3], z: null }, b: { c: 1 } })
  assert.deepEqual(merged, { a: { x: 1, y: [3], z: null }, b: { c: 1 } })
})

test('a chain merges from the primitive to the leaf', () => {
  assert.deepEqual(
    mergeChain([link({ a: 'leaf' }), link({ a: 'middle', b: 'middle' }), link({ b: 'primitive', c: 'primitive' })]),
    {
      a: 'leaf',
      b: 'middle',
      c: 'primitive',
    },
  )
})

test('the retry at the top of a link wins over the one in its config, and the nearer link over the farther', () => {
  const near = link({ retry: { max_attempts: 1 } }, { max_attempts: 2 })
  const far = link({}, { max_attempts: 9, backoff_ms: [1] })
  assert.deepEqual(mergeChain([near, far]), { retry: { max_attempts: 2, backoff_ms: [1] } })
})

test('merging changes neither of its arguments', () => {
  const base = { a: { b: 1 } }
  mergeConfig(base, { a: { c: 2 } })
  assert.deepEqual(base, { a: { b: 1 } })
})

for (const layer of ['base', 'over'] as const) {
  for (const text of [
    '{"__proto__":{"x":1}}',
    '{"a":{"__proto__":{"x":1}}}',
    '{"a":[{"constructor":{"prototype":{"x":1}}}]}',
    '{"prototype":{"x":1}}',
  ]) {
    test(`threat row 17: ${text} in the ${layer} layer is refused and pollutes nothing`, () => {
      const hostile: JsonObject = JSON.parse(text)
      const [base, over] = layer === 'base' ? [hostile, { a: { ok: 1 } }] : [{ a: { ok: 1 } }, hostile]
      assert.throws(() => mergeConfig(base, over), ForbiddenKeyError)
      assert.equal(Reflect.get({}, 'x'), undefined)
    })
  }
}
