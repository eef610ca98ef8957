import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseIdScope } from '../../../src/capabilities/scopes/id-scope.ts'
import { containsValue, coversAll, meetSets } from '../../../src/capabilities/scopes/scope-sets.ts'

for (const { text, offset } of [
  { text: '', offset: 0 },
  { text: '*a', offset: 0 },
  { text: 'a*b', offset: 1 },
  { text: 'a**', offset: 1 },
  { text: 'a b', offset: 1 },
  { text: '../a', offset: 0 },
  { text: 'a/b', offset: 1 },
  { text: '-a', offset: 0 },
  { text: 'caf\u00e9', offset: 3 },
  { text: 'a'.repeat(129), offset: 128 },
]) {
  test(`the id scope ${JSON.stringify(text.slice(0, 20))} is refused at character ${offset}`, () => {
    const outcome = parseIdScope(text)
    assert(outcome.kind === 'refused')
    assert.equal(outcome.offset, offset)
    assert.notEqual(outcome.fix, '')
  })
}

test('an id scope is one id, or every id that begins with it', () => {
  const ids = ['read_file', 'read_files', 'Read_file', 'read', 'read_*', '']
  assert.deepEqual(
    ids.filter((id) => containsValue(['read_file'], id, 'id')),
    ['read_file'],
  )
  assert.deepEqual(
    ids.filter((id) => containsValue(['read_*'], id, 'id')),
    ['read_file', 'read_files'],
  )
  assert.deepEqual(
    ids.filter((id) => containsValue(['*'], id, 'id')),
    ['read_file', 'read_files', 'Read_file', 'read'],
  )
})

test('a longer beginning lies within a shorter one', () => {
  assert(coversAll(['ns.*'], ['ns.a', 'ns.a*'], 'id'))
  assert(!coversAll(['ns.a*'], ['ns.*'], 'id'))
  assert(!coversAll(['ns.a'], ['ns.a*'], 'id'))
  assert.deepEqual(meetSets(['ns.*', 'x'], ['ns.a*', 'y', 'x*'], 'id'), ['ns.a*', 'x'])
})
