import assert from 'node:assert/strict'
import { test } from 'node:test'
import { boundedResult, boundedToolValue, firstText } from '../../src/mcp-client/bounded-content.ts'

const CAPS = { textCharacters: 100, binaryCharacters: 10, blocks: 3 }
const text = (value: string): { readonly type: 'text'; readonly text: string } => ({ type: 'text', text: value })

test('what fits is handed on as it came, unknown blocks too', () => {
  const result = {
    content: [text('a'), { type: 'image', data: 'aGk=', mimeType: 'image/png' }, { type: 'hologram', shape: [1] }],
    structuredContent: { n: 1 },
  }
  assert.deepEqual(boundedToolValue(result), result)
})

test('text beyond the cap is cut, and says how much', () => {
  const { content } = boundedToolValue({ content: [text('x'.repeat(60)), text('y'.repeat(60))] }, CAPS)
  const [first, second] = content as readonly { readonly text: string }[]
  assert.equal(first?.text.length, 60)
  assert.match(second?.text ?? '', /^y+\[cut: \d+ of 60 characters were left out\]$/)
  assert.ok((first?.text.length ?? 0) + (second?.text.indexOf('[') ?? 0) <= 100)
})

test('a cut does not leave half a character', () => {
  const { content } = boundedToolValue({ content: [text(`${'x'.repeat(97)}😀😀`)] }, CAPS)
  assert.ok((content[0] as { readonly text: string }).text.isWellFormed())
})

test('binary data that does not fit is left out, and says so', () => {
  const block = { type: 'image', data: 'x'.repeat(11), mimeType: 'image/png' }
  assert.deepEqual(boundedToolValue({ content: [block] }, CAPS).content, [
    text('[image was left out: its data has 11 characters]'),
  ])
  const resource = { type: 'resource', resource: { uri: 'a://b', blob: 'x'.repeat(11) } }
  assert.deepEqual(boundedToolValue({ content: [resource] }, CAPS).content, [
    { type: 'resource', resource: { uri: 'a://b', text: '[the resource was left out: its data has 11 characters]' } },
  ])
})

test('more blocks than the cap are counted', () => {
  const { content } = boundedToolValue({ content: Array.from({ length: 5 }, () => text('x')) }, CAPS)
  assert.deepEqual(content.slice(3), [text('[2 more content blocks were left out]')])
})

test('structured content that is too long is left out, and says so', () => {
  const { content, structuredContent } = boundedToolValue({ content: [], structuredContent: { long: 'x'.repeat(200) } }, CAPS)
  assert.equal(structuredContent, undefined)
  assert.deepEqual(content, [text('[the structured content was left out: it has 211 characters]')])
})

test('long names beside the content do not get past the cap', () => {
  const { content } = boundedToolValue({ content: [{ ...text('hello'), annotations: { note: 'x'.repeat(200) } }] }, CAPS)
  assert.deepEqual(content, [text('hello')])
  assert.deepEqual(boundedToolValue({ content: [{ type: 'odd', blob: 'x'.repeat(200) }] }, CAPS).content, [
    text('[a part of 224 characters was left out]'),
  ])
})

test('content that is no list is no content', () => {
  assert.deepEqual(boundedToolValue({ content: 'x' }), { content: [] })
  assert.deepEqual(boundedToolValue({}), { content: [] })
})

test('a resource and a prompt are bounded where they are long', () => {
  const read = boundedResult({ contents: [{ uri: 'a://b', text: 'x'.repeat(200) }] }, CAPS)
  assert.match(JSON.stringify(read), /\[cut: \d+ of 200 characters were left out\]/)
  const prompt = boundedResult(
    { messages: Array.from({ length: 4 }, () => ({ role: 'user', content: text('x'.repeat(60)) })) },
    CAPS,
  )
  assert.match(JSON.stringify(prompt), /cut: 40 of 60|cut: \d+ of 60/)
  assert.equal(prompt['note'], '[1 more parts were left out]')
  assert.deepEqual(boundedResult({ prompts: [], nextCursor: 'x' }), { prompts: [], nextCursor: 'x' })
})

test('the first text of a result is found behind other blocks', () => {
  assert.equal(firstText({ content: [{ type: 'image', data: '', mimeType: '' }, text('why')] }), 'why')
  assert.equal(firstText({ content: [] }), null)
})
