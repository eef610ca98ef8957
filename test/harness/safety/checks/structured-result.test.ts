import assert from 'node:assert/strict'
import { test } from 'node:test'
import { structuredResult } from '../../../../src/harness/safety/checks/structured-result.ts'

function valueOf(text: string): unknown {
  const result = structuredResult(text)
  return result.ok ? result.value : result.problem
}

test('an answer that is a JSON object is the result', () => {
  assert.deepEqual(valueOf(' \n{"files": 3}\n'), { files: 3 })
})

test('the last block of an answer that is marked as JSON is the result', () => {
  const text = 'First:\n```json\n{"files": 1}\n```\nNo, better:\n```json\n{"files": 2}\n```\nDone.'
  assert.deepEqual(valueOf(text), { files: 2 })
})

test('blocks of other languages, unmarked ones and ones that are never closed hold no result', () => {
  for (const text of [
    '```js\n{"a": 1}\n```',
    '```\n{"a": 1}\n```',
    'Look:\n```json\n{"a": 1}',
    'the result is {"a": 1}',
    '{"a": 1} and so on',
    '{',
    '````markdown\n```json\n{"a": 1}',
    '',
  ]) {
    assert.match(String(valueOf(text)), /holds no JSON object/, text)
  }
})

test('a block inside of another block is a part of that one', () => {
  assert.match(String(valueOf('```text\n```json {"a": 1}\n```')), /holds no JSON object/)
})

test('broken JSON is told with where it breaks, and nothing of it is guessed', () => {
  for (const text of ['{"a": 1,}', '{"a": 1} {}', '```json\n{a: 1}\n```', '{"a": NaN}', '{}}'])
    assert.match(String(valueOf(text)), /its JSON cannot be read: /, text)
})

test('JSON that is no object is no result', () => {
  for (const json of ['[1]', '"text"', '7', 'null', 'true'])
    assert.match(String(valueOf(`\`\`\`json\n${json}\n\`\`\``)), /its JSON is no object/, json)
})

test('JSON that is nested too deep, and an answer that is too long, are refused before they are parsed', () => {
  assert.match(String(valueOf(`{"a": ${'['.repeat(200_000)}}`)), /nested deeper than 100 levels/)
  assert.match(String(valueOf(`{"a": "${'x'.repeat(1_000_000)}"}`)), /characters long/)
})

test('brackets in a string are no levels', () => {
  assert.deepEqual(valueOf(`{"a": "${'['.repeat(500)}\\"${'{'.repeat(500)}"}`), { a: `${'['.repeat(500)}"${'{'.repeat(500)}` })
})

test('a name like __proto__ is a name and nothing more', () => {
  const result = structuredResult('{"__proto__": {"admin": true}, "a": 1}')
  assert.ok(result.ok)
  assert.equal((result.value as { admin?: boolean }).admin, undefined)
  assert.deepEqual(Object.keys(result.value), ['__proto__', 'a'])
})
