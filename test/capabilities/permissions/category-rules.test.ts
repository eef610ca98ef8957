import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CategoryRule } from '../../../src/capabilities/contract.ts'
import { categoryAllows } from '../../../src/capabilities/permissions/category-rules.ts'

const ITEMS = ['quality/lint', 'quality/style/words', 'qualityx/a', 'ops/release', '/loose'] as const

function allowed(...rules: readonly Partial<CategoryRule>[]): readonly string[] {
  const whole = rules.map((rule) => ({ allowCategories: null, denyCategories: [], allowIds: null, denyIds: [], ...rule }))
  return ITEMS.filter((item) => {
    const slash = item.lastIndexOf('/')
    return categoryAllows(whole, { category: item.slice(0, slash), id: item.slice(slash + 1) })
  })
}

test('without rules, and under a rule without lists, everything is allowed', () => {
  assert.deepEqual(allowed(), ITEMS)
  assert.deepEqual(allowed({}), ITEMS)
})

test('a category stands for itself and the folders below it', () => {
  assert.deepEqual(allowed({ allowCategories: ['quality'] }), ['quality/lint', 'quality/style/words'])
  assert.deepEqual(allowed({ denyCategories: ['quality'] }), ['qualityx/a', 'ops/release', '/loose'])
})

test('an allowed id is allowed in any category, besides the allowed categories', () => {
  assert.deepEqual(allowed({ allowIds: ['rel*', 'loose'] }), ['ops/release', '/loose'])
  assert.deepEqual(allowed({ allowCategories: ['qualityx'], allowIds: ['release'] }), ['qualityx/a', 'ops/release'])
})

test('a deny wins, in whatever case the name is written', () => {
  assert.deepEqual(allowed({ allowCategories: ['*'], denyIds: ['RELEASE', 'L*'] }), ['quality/style/words', 'qualityx/a'])
  assert.deepEqual(allowed({ allowIds: ['*'], denyCategories: ['Ops'] }), [
    'quality/lint',
    'quality/style/words',
    'qualityx/a',
    '/loose',
  ])
})

test('empty allow lists allow nothing', () => {
  assert.deepEqual(allowed({ allowCategories: [] }), [])
  assert.deepEqual(allowed({ allowIds: [] }), [])
})

test('of several rules all must allow', () => {
  assert.deepEqual(allowed({ allowCategories: ['quality'] }, { denyCategories: ['quality/style'] }), ['quality/lint'])
})
