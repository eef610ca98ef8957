import assert from 'node:assert/strict'
import test from 'node:test'
import { isThreadId, makeThreadId, sanitizeThreadId } from '../../src/threads/thread-id.ts'

const NOON = Date.UTC(2026, 10, 22, 12, 3, 4)

test('a thread id is trimmed, its inner spaces become underscores, its case stays', () => {
  assert.equal(sanitizeThreadId('  My Review-1 b '), 'My_Review-1_b')
})

test('threat row 35: an id that is not a plain name is refused with what came and what was left of it', () => {
  const attacks = ['', '   ', '..', '../x', 'a/b', 'a\\b', 'a\0b', 'a\nb', '%2e%2e', 'ü', 'a.b', 'CON:', '\u202Ea', 'a\tb']
  for (const received of attacks) {
    assert.throws(
      () => sanitizeThreadId(received),
      (error: { code: string; context: { facts: unknown } }) => {
        assert.equal(error.code, 'INVALID_THREAD_ID')
        assert.deepEqual(error.context.facts, { received, sanitized: received.trim().replaceAll(' ', '_') })
        return true
      },
    )
  }
})

test('an id longer than a file name should be is refused', () => {
  assert.equal(sanitizeThreadId('a'.repeat(128)).length, 128)
  assert.throws(() => sanitizeThreadId('a'.repeat(129)), { code: 'INVALID_THREAD_ID' })
})

test('a made id is the directive and the UTC time, with a number when that is taken', () => {
  const taken = new Set<string>()
  const make = (): string => makeThreadId('review_changes', NOON, (id) => taken.has(id))
  const ids = [1, 2, 3].map(() => {
    const id = make()
    taken.add(id)
    return id
  })
  assert.deepEqual(ids, [
    'review_changes_20261122_120304',
    'review_changes_20261122_120304_2',
    'review_changes_20261122_120304_3',
  ])
})

test('a made id is valid whatever the directive is called', () => {
  for (const directive of ['', 'x'.repeat(300), 'a b/c', '日本語'])
    assert.ok(isThreadId(makeThreadId(directive, NOON, () => false)), directive)
})
