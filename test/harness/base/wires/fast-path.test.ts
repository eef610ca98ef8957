import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anthropicMessages } from '../../../../src/harness/base/wires/anthropic-messages.ts'
import { createContentTemplate } from '../../../../src/harness/base/wires/content-template.ts'
import { openaiChat } from '../../../../src/harness/base/wires/openai-chat.ts'
import { readStringDelta } from '../../../../src/harness/base/wires/text-delta.ts'
import { openaiChunk } from './folded-bytes.ts'

/** A small generator with a fixed seed: a failure names a case that comes again. */
function createRandom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const ALPHABET = [
  'a',
  'B',
  ' ',
  '"',
  '\\',
  '/',
  '\n',
  '\t',
  '\u0000',
  '\u001f',
  '\u007f',
  '{',
  '}',
  ',',
  ':',
  'ä',
  '€',
  '🥝',
  '\ud83e',
  '\u2028',
  '"}}',
  'u0041',
]

function randomText(random: (below: number) => number): string {
  return Array.from({ length: random(12) }, () => ALPHABET[random(ALPHABET.length)]).join('')
}

const KINDS = [
  ['text_delta', 'text'],
  ['thinking_delta', 'thinking'],
  ['input_json_delta', 'partial_json'],
] as const

/** Changes of an event's text that a real server or a broken one could make. */
const MUTATIONS: readonly ((text: string, random: (below: number) => number) => string)[] = [
  (text) => text,
  (text) => text.replace(/\}\}$/, '}   }'),
  (text) => text.replace(/\}\}$/, '\n}}  '),
  (text) => text.replaceAll('":', '": '),
  (text) => text.replace(/"index":(\d+)/, '"index":1$1'),
  (text) => text.replace(/\}\}$/, ',"extra":1}}'),
  (text) => text.replace(/\}\}$/, '},"extra":1}'),
  (text, random) => text.slice(0, random(text.length)),
  (text, random) => {
    const at = random(text.length)
    return text.slice(0, at) + (ALPHABET[random(ALPHABET.length)] ?? '') + text.slice(at + random(2))
  },
]

test('the fast path of Anthropic deltas agrees with JSON.parse on 40,000 random events, whole and broken', () => {
  const random = createRandom(7)
  let fast = 0
  for (let round = 0; round < 40_000; round += 1) {
    const [kind, field] = KINDS[random(3)] ?? KINDS[0]
    const event = JSON.stringify({
      type: 'content_block_delta',
      index: random(3),
      delta: { type: kind, [field]: randomText(random) },
    })
    const data = MUTATIONS[random(MUTATIONS.length)]?.(event, random) ?? event
    const read = readStringDelta(data)
    if (read === null) continue
    fast += 1
    const parsed: unknown = JSON.parse(data)
    const fieldOf = { text_delta: 'text', thinking_delta: 'thinking', input_json_delta: 'partial_json' }[read.kind]
    assert.deepEqual(
      parsed,
      { type: 'content_block_delta', index: read.index, delta: { type: read.kind, [fieldOf]: read.value } },
      data,
    )
  }
  assert.ok(fast > 10_000, `only ${fast} events took the fast path`)
})

test('a plain text delta takes the fast path, also with blanks between the braces', () => {
  const data = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}           }'
  assert.deepEqual(readStringDelta(data), { index: 0, kind: 'text_delta', value: 'Hello' })
})

test('a learned OpenAI chunk gives the content that JSON.parse gives, on 20,000 random chunks', () => {
  const random = createRandom(11)
  const template = createContentTemplate()
  let fast = 0
  for (let round = 0; round < 20_000; round += 1) {
    const content = random(3) === 0 ? randomText(random) : `word${random(1000)} `
    const extra = random(10) === 0 ? { obfuscation: randomText(random) } : {}
    const data = JSON.stringify({ ...openaiChunk({ content }), ...extra })
    const read = template.read(data)
    if (read === null) {
      template.learn(data, content)
      continue
    }
    fast += 1
    assert.equal(read, content, data)
    assert.deepEqual(JSON.parse(data), { ...openaiChunk({ content: read }), ...extra })
  }
  assert.ok(fast > 5_000, `only ${fast} chunks took the fast path`)
})

test('a place that is not the content is never learned', () => {
  const template = createContentTemplate()
  const decoy = '{"note":{"content":"x"},"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}'
  template.learn(decoy, 'x')
  assert.equal(template.read(decoy.replace('"x"', '"y"')), null)
})

test('a duplicate content key is never learned', () => {
  const template = createContentTemplate()
  const twice = '{"choices":[{"index":0,"delta":{"content":"x","content":"x"},"finish_reason":null}]}'
  template.learn(twice, 'x')
  assert.equal(template.read(twice), null)
})

test('tool arguments of 200,000 fragments are folded in linear time on both wires', () => {
  const fragments = 200_000
  const anthropic = anthropicMessages.createFold()
  const openai = openaiChat.createFold()
  const start = {
    type: 'content_block_start',
    index: 0,
    content_block: { type: 'tool_use', id: 'toolu_1', name: 'write_file', input: {} },
  }
  anthropic.push({ event: 'content_block_start', data: JSON.stringify(start), id: '' })
  const head = {
    tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'write_file', arguments: '{"content":"' } }],
  }
  openai.push({ event: 'message', data: JSON.stringify(openaiChunk(head)), id: '' })
  const delta = (text: string) =>
    JSON.stringify({ type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: text } })
  const chunk = (text: string) => JSON.stringify(openaiChunk({ tool_calls: [{ index: 0, function: { arguments: text } }] }))
  anthropic.push({ event: 'content_block_delta', data: delta('{"content":"'), id: '' })
  const [middleDelta, middleChunk] = [delta('}} x'), chunk('}} x')]
  for (let at = 0; at < fragments; at += 1) {
    anthropic.push({ event: 'content_block_delta', data: middleDelta, id: '' })
    openai.push({ event: 'message', data: middleChunk, id: '' })
  }
  anthropic.push({ event: 'content_block_delta', data: delta('"}'), id: '' })
  anthropic.push({ event: 'content_block_stop', data: '{"type":"content_block_stop","index":0}', id: '' })
  openai.push({ event: 'message', data: chunk('"}'), id: '' })
  openai.push({ event: 'message', data: JSON.stringify(openaiChunk({}, 'tool_calls')), id: '' })
  const expected = { content: '}} x'.repeat(fragments) }
  assert.deepEqual(anthropic.finish().tool_calls[0]?.arguments, expected)
  assert.deepEqual(openai.finish().tool_calls[0]?.arguments, expected)
})
