import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_RESULT_BYTES } from '../../src/mcp/bounded-result.ts'
import { createResultPages, type ResultPage } from '../../src/mcp/result-pages.ts'
import { eventually } from './serving-fixture.ts'

type Pages = ReturnType<typeof createResultPages>

function readAll(pages: Pages, tool: string, first: string): readonly ResultPage[] {
  const read: ResultPage[] = []
  for (let cursor: string | null = first; cursor !== null; cursor = read.at(-1)?.next_cursor ?? null) {
    read.push(pages.read(tool, cursor))
  }
  return read
}

test('the pages of a result are its whole text, each small enough to be sent, and cut between characters', () => {
  const pages = createResultPages()
  const text = JSON.stringify({
    text: '"日本語😀\u0000'.repeat(10_000),
    list: Array.from({ length: 5_000 }, (_, id) => ({ id })),
  })
  const read = readAll(pages, 'execute', pages.keep('execute', text) ?? '')
  assert.equal(read.map((page) => page.text).join(''), text)
  assert.ok(read.length > 2)
  assert.ok(read.every((page) => Buffer.byteLength(JSON.stringify(page)) <= MAX_RESULT_BYTES && page.text.isWellFormed()))
  assert.deepEqual([read[0]?.offset, read[0]?.total_characters], [0, text.length])
  pages.close()
})

test('a page can be read again, and only as a page of its own tool', () => {
  const pages = createResultPages()
  const cursor = pages.keep('search', 'x'.repeat(50_000)) ?? ''
  assert.deepEqual(pages.read('search', cursor), pages.read('search', cursor))
  assert.throws(() => pages.read('execute', cursor), /is of a result of `search`, not of `execute`/u)
  pages.close()
})

test('a cursor that was never given is told from one that has expired', async () => {
  const pages = createResultPages({ lifetimeMs: 1 })
  const cursor = pages.keep('search', 'text') ?? ''
  for (const wrong of ['', 'x', '../../etc', `${'A'.repeat(22)}.0`, cursor.replace(/\.0$/u, '')])
    assert.throws(() => pages.read('search', wrong), { code: 'INVALID_REQUEST', message: 'There is no result of this cursor.' })
  await eventually('the end of the lifetime', () => {
    try {
      pages.read('search', cursor)
      return false
    } catch (error) {
      assert.match(String(error), /no longer kept/u)
      return true
    }
  })
  pages.close()
})

test('an offset behind the end of a result is refused', () => {
  const pages = createResultPages()
  const cursor = pages.keep('search', 'text') ?? ''
  assert.throws(() => pages.read('search', cursor.replace(/\.0$/u, '.4')), /is of no page/u)
  pages.close()
})

test('the oldest result makes room, by number and by size, and one that is too large is not kept', () => {
  const pages = createResultPages({ maxResults: 2, maxBytes: 8_000 })
  const [first, second, third] = ['a', 'b', 'c'].map((text) => pages.keep('load', text) ?? '')
  assert.throws(() => pages.read('load', first ?? ''), /no longer kept/u)
  assert.equal(pages.read('load', second ?? '').text, 'b')
  assert.equal(pages.read('load', third ?? '').text, 'c')
  assert.equal(pages.keep('load', 'x'.repeat(1_001)), null)
  const [large, larger] = ['y', 'z'].map((text) => pages.keep('load', text.repeat(1_000)) ?? '')
  assert.equal(pages.read('load', large ?? '').text.length, 1_000)
  assert.equal(pages.read('load', larger ?? '').text.length, 1_000)
  pages.close()
})

test('cursors cannot be guessed from one another', () => {
  const pages = createResultPages()
  const ids = Array.from({ length: 50 }, () => (pages.keep('help', 'same') ?? '').slice(0, 22))
  assert.equal(new Set(ids).size, 50)
  assert.equal(Buffer.from(ids[0] ?? '', 'base64url').length, 16)
  pages.close()
})
