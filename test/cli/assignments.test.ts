import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAssignments, parseJsonObject } from '../../src/cli/assignments.ts'
import { KiwiError } from '../../src/kernel/errors.ts'

const declared = (name: string): string | readonly string[] | null =>
  ({ limit: 'integer', version: 'string', either: ['string', 'null'], tags: 'array' })[name] ?? null

const invalidRequest = (pattern: RegExp) => (error: unknown) =>
  error instanceof KiwiError &&
  error.code === 'INVALID_REQUEST' &&
  pattern.test(error.message) &&
  error.context.suggestion !== undefined

test('a value is text unless its name is declared as another type', () => {
  const given = ['limit=5', 'version=5', 'either=5', 'tags=["a"]', 'unknown=5']
  assert.deepEqual(parseAssignments(given, declared), { limit: 5, version: '5', either: '5', tags: ['a'], unknown: '5' })
})

test('name:=JSON is always JSON and a value may hold every character', () => {
  assert.deepEqual(parseAssignments(['deep:={"a":[1]}', 'text=a=b:=c\nd', 'empty=']), {
    deep: { a: [1] },
    text: 'a=b:=c\nd',
    empty: '',
  })
})

test('a word without an equals sign, a repeated name and a wrong type are usage errors that say what to write', () => {
  assert.throws(() => parseAssignments(['limit']), invalidRequest(/Expected name=value, got `limit`/u))
  assert.throws(() => parseAssignments(['a=1', 'a=2']), invalidRequest(/`a` was given twice/u))
  assert.throws(() => parseAssignments(['limit=many'], declared), invalidRequest(/`limit` to be integer, got `many`/u))
  assert.throws(() => parseAssignments(['a:=oops']), invalidRequest(/`a` to be JSON/u))
})

test('a prototype key is an ordinary name', () => {
  const parsed = parseAssignments(['__proto__:={"polluted":true}'])
  assert.equal(Object.getPrototypeOf(parsed), Object.prototype)
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
})

test('only a JSON object is taken where an object is expected', () => {
  assert.deepEqual(parseJsonObject('--params', '{"a":1}'), { a: 1 })
  assert.throws(() => parseJsonObject('--params', '[1]'), invalidRequest(/--params to be a JSON object/u))
  assert.throws(() => parseJsonObject('--params', '{'), invalidRequest(/--params/u))
})
