import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLineReader } from '../../../src/primitives/subprocess/line-reader.ts'

interface Read {
  readonly lines: readonly string[]
  readonly rest: string
  readonly ok: boolean
}

function read(chunks: readonly string[], maxLineBytes = 100): Read {
  const lines: string[] = []
  const reader = createLineReader(maxLineBytes, (line) => lines.push(line))
  const ok = chunks.every((chunk) => reader.push(Buffer.from(chunk, 'latin1')))
  return { lines, rest: reader.rest(), ok }
}

test('lines that come in pieces are joined', () => {
  assert.deepEqual(read(['a', 'b\nc', 'd', '\n\ne']), { lines: ['ab', 'cd', ''], rest: 'e', ok: true })
})

test('a carriage return before the line feed belongs to the line end', () => {
  assert.deepEqual(read(['one\r\n', 'two\r', '\nth\rree\n']).lines, ['one', 'two', 'th\rree'])
})

test('a character that is cut by a chunk is whole in its line', () => {
  assert.deepEqual(read(['gr\xc3', '\xbc\xc3\x9fe\n']).lines, ['grüße'])
})

test('a line of exactly the limit is read and one byte more is not', () => {
  assert.deepEqual(read(['12345\n'], 5).lines, ['12345'])
  assert.equal(read(['123456\n'], 5).ok, false)
})

test('a line that grows byte for byte is refused at the limit and nothing of it is kept', () => {
  const { ok, rest, lines } = read(
    Array.from({ length: 5_001 }, () => 'x'),
    5_000,
  )
  assert.deepEqual([ok, rest, lines], [false, '', []])
})

test('lines before one that is too long are told', () => {
  assert.deepEqual(read(['a\nb\n' + 'x'.repeat(20)], 10), { lines: ['a', 'b'], rest: '', ok: false })
})
