import assert from 'node:assert/strict'
import { test } from 'node:test'
import { containsText } from '../../../src/kernel/expressions/contains-text.ts'

test('a text is found exactly where the built-in search finds it', () => {
  let state = 7
  const letters = (count: number): string =>
    Array.from({ length: count }, () => {
      state = (state * 48_271) % 2_147_483_647
      return state % 9 === 0 ? 'b' : 'a'
    }).join('')
  const found = Array.from({ length: 3000 }, (_, index) => {
    const text = letters(400)
    const part = index % 2 === 0 ? letters(33 + (index % 8)) : text.slice(index % 300, (index % 300) + 33 + (index % 60))
    return [containsText(text, part), text.includes(part)]
  })
  assert(found.some(([, expected]) => expected === true) && found.some(([, expected]) => expected === false))
  assert.deepEqual(
    found.filter(([actual, expected]) => actual !== expected),
    [],
  )
})
