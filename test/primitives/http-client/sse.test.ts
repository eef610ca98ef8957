import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StreamEvent } from '../../../src/primitives/http-client/contract.ts'
import { createSseParser } from '../../../src/primitives/http-client/sse.ts'
import type { SseEnd } from '../../../src/primitives/http-client/sse.ts'

interface Parsed extends SseEnd {
  readonly events: readonly StreamEvent[]
  readonly tooBig: boolean
}

function parse(chunks: readonly Buffer[], maxEventBytes = 1_000_000): Parsed {
  const events: StreamEvent[] = []
  const parser = createSseParser({ maxEventBytes, onEvent: (event) => events.push(event) })
  let state: 'done' | 'more' | 'too_big' = 'done'
  for (const chunk of chunks) {
    parser.push(chunk)
    do state = parser.drain(2)
    while (state === 'more')
    if (state === 'too_big') break
  }
  return { events, tooBig: state === 'too_big', ...parser.finish() }
}

/** Whole, byte by byte, and cut in two and in three at every place. */
function everyChunking(bytes: Buffer): Buffer[][] {
  const cuts = Array.from({ length: bytes.length + 1 }, (_, index) => index)
  return [
    [bytes],
    cuts.slice(0, -1).map((cut) => bytes.subarray(cut, cut + 1)),
    ...cuts.map((cut) => [bytes.subarray(0, cut), bytes.subarray(cut)]),
    ...cuts.map((cut) => [bytes.subarray(0, cut), bytes.subarray(cut, cut + 2), bytes.subarray(cut + 2)]),
  ]
}

const message = (data: string, more: Partial<StreamEvent> = {}): StreamEvent => ({ event: 'message', data, id: '', ...more })

const CASES: Readonly<
  Record<string, { stream: string | Buffer; events: StreamEvent[]; unfinished?: boolean; marker?: boolean }>
> = {
  'an empty stream': { stream: '', events: [] },
  'one event': { stream: 'data: hello\n\n', events: [message('hello')] },
  'a space after the colon is optional and only one is removed': {
    stream: 'data:a\n\ndata: b\n\ndata:  c\n\n',
    events: [message('a'), message('b'), message(' c')],
  },
  'several data lines join with a line feed': { stream: 'data: YHOO\ndata: +2\ndata: 10\n\n', events: [message('YHOO\n+2\n10')] },
  'data without value and without colon': {
    stream: 'data\n\ndata\ndata\n\ndata:\n\n',
    events: [message(''), message('\n'), message('')],
  },
  'CR, LF and CRLF all end a line': {
    stream: 'data: a\r\rdata: b\r\n\r\ndata: c\n\ndata: d\r\n\n',
    events: [message('a'), message('b'), message('c'), message('d')],
  },
  'CR then LF is one line end, LF then CR is two': {
    stream: 'data: a\r\ndata: b\n\rdata: c\n\n',
    events: [message('a\nb'), message('c')],
  },
  'comments are ignored': { stream: ': ping\n\n:\n\ndata: a\n: in between\ndata: b\n\n', events: [message('a\nb')] },
  'an event name lasts for one event': {
    stream: 'event: add\ndata: 1\n\ndata: 2\n\nevent: add\ndata: 3\n\nevent: remove\ndata: 4\n\n',
    events: [message('1', { event: 'add' }), message('2'), message('3', { event: 'add' }), message('4', { event: 'remove' })],
  },
  'an event without data is not dispatched and its name is forgotten': {
    stream: 'event: add\n\ndata: 1\n\n',
    events: [message('1')],
  },
  'an empty event name means message': { stream: 'event:\ndata: 1\n\nevent\ndata: 2\n\n', events: [message('1'), message('2')] },
  'an id lasts until the next one': {
    stream: 'id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n',
    events: [message('a', { id: '7' }), message('b', { id: '7' }), message('c')],
  },
  'an id with NUL is ignored': {
    stream: 'id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n',
    events: [message('a', { id: '1' }), message('b', { id: '1' })],
  },
  'unknown fields and retry are ignored': {
    stream: 'retry: 10\nfoo: bar\ndata : x\nDATA: y\n data: z\ndata: a\n\n',
    events: [message('a')],
  },
  'a colon inside a value stays': { stream: 'data: a: b\nevent: x:y\n\n', events: [message('a: b', { event: 'x:y' })] },
  'one byte order mark at the start is removed': {
    stream: '\uFEFFdata: a\n\n\uFEFFdata: b\n\ndata: \uFEFFc\n\n',
    events: [message('a'), message('\uFEFFc')],
  },
  'characters of two, three and four bytes': {
    stream: 'event: é\ndata: ü€𝄞\n\ndata: 日本\n\n',
    events: [message('ü€𝄞', { event: 'é' }), message('日本')],
  },
  'broken UTF-8 becomes replacement characters': {
    stream: Buffer.concat([
      Buffer.from('data: a'),
      Buffer.from([0xc3]),
      Buffer.from('\ndata: '),
      Buffer.from([0xff]),
      Buffer.from('\n\n'),
    ]),
    events: [message('a\uFFFD\n\uFFFD')],
  },
  'an unfinished event is dropped': { stream: 'data: a\n\ndata: b\n', events: [message('a')], unfinished: true },
  'an unfinished line is dropped': { stream: 'data: a\n\ndata: {"x', events: [message('a')], unfinished: true },
  'an unfinished comment loses nothing': { stream: 'data: a\n\n: pin', events: [message('a')] },
  'the end marker is noted and not delivered': { stream: 'data: a\n\ndata: [DONE]\n\n', events: [message('a')], marker: true },
  'an end marker without its empty line counts': { stream: 'data: a\n\ndata: [DONE]', events: [message('a')], marker: true },
  'a provider stream': {
    stream:
      'event: message_start\ndata: {"type":"message_start"}\n\nevent: ping\ndata: {"type": "ping"}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
    events: [
      message('{"type":"message_start"}', { event: 'message_start' }),
      message('{"type": "ping"}', { event: 'ping' }),
      message('{"type":"message_stop"}', { event: 'message_stop' }),
    ],
  },
}

for (const [name, { stream, events, unfinished = false, marker = false }] of Object.entries(CASES)) {
  test(`threat row 27: under any chunking, ${name}`, () => {
    const expected = { events, tooBig: false, unfinishedEvent: unfinished, endMarkerSeen: marker }
    for (const chunks of everyChunking(Buffer.from(stream))) assert.deepEqual(parse(chunks), expected)
  })
}

test('threat row 27: an event of exactly the cap passes and one byte more does not, under any chunking', () => {
  const fits = Buffer.from('event: x\ndata: 12345678\ndata:é\n\ndata: 1\n\n')
  const cap = 'event: x'.length + 'data: 12345678'.length + 'data:é'.length + 1
  const tooLong = Buffer.from('event: x\ndata: 12345678\ndata:éz\n\ndata: 1\n\n')
  for (const chunks of everyChunking(fits)) assert.equal(parse(chunks, cap).events.length, 2)
  for (const chunks of everyChunking(tooLong))
    assert.deepEqual([parse(chunks, cap).tooBig, parse(chunks, cap).events], [true, []])
})

test('threat row 27: characters of several bytes count towards the cap in every line of an event, under any chunking', () => {
  const fits = Buffer.from('data:é—\ndata:é\ndata: 1\n\ndata: 2\n\n')
  const cap = Buffer.byteLength('data:é—') + Buffer.byteLength('data:é') + 'data: 1'.length
  const tooLong = Buffer.from('data:é—\ndata:é\ndata: 12\n\ndata: 2\n\n')
  for (const chunks of everyChunking(fits)) assert.equal(parse(chunks, cap).events.length, 2)
  for (const chunks of everyChunking(tooLong))
    assert.deepEqual([parse(chunks, cap).tooBig, parse(chunks, cap).events], [true, []])
})

test('threat row 25: a line without end is refused before it is kept', () => {
  const parser = createSseParser({ maxEventBytes: 1024, onEvent: () => assert.fail('no event was sent') })
  parser.push(Buffer.alloc(1_000_000, 'a'))
  assert.equal(parser.drain(1), 'too_big')
})

test('many empty data lines of one event count towards its cap', () => {
  assert.equal(parse([Buffer.from('data\n'.repeat(1000))], 1024).tooBig, true)
})

test('comments without end of event are never too big', () => {
  assert.equal(parse([Buffer.from(':ping\n'.repeat(1000))], 64).tooBig, false)
})

test('a stream that arrives byte by byte is parsed in linear time and memory', () => {
  const text = `data: ${'x'.repeat(200_000)}\n\n`
  const bytes = Buffer.from(text)
  const chunks = Array.from({ length: bytes.length }, (_, index) => bytes.subarray(index, index + 1))
  assert.equal(parse(chunks).events[0]?.data.length, 200_000)
})

test('only chunks that hold the word are suspected of an error', () => {
  const suspicions: boolean[] = []
  const parser = createSseParser({ maxEventBytes: 1024, onEvent: (_, maybeError) => suspicions.push(maybeError) })
  parser.push(Buffer.from('data: {"text":"\\"error\\""}\n\n'))
  parser.drain(10)
  parser.push(Buffer.from('data: {"error":{}}\n\n'))
  parser.drain(10)
  assert.deepEqual(suspicions, [false, true])
})
