import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { executeHttp } from '../../../src/primitives/http-client/http-client.ts'
import { createReturnBuffer } from '../../../src/primitives/http-client/return-buffer.ts'
import { recordingSink, sendEvents, serve, SSE_HEAD } from './loopback.ts'

const MEGABYTE = 1024 * 1024

/** Offers the piece until `totalBytes` are written or the peer is gone, at the pace of the peer. */
function offer(response: ServerResponse, piece: Buffer, totalBytes: number): { sentBytes(): number } {
  let sent = 0
  const more = (): void => {
    while (sent < totalBytes && !response.destroyed) {
      sent += piece.length
      if (!response.write(piece)) return void response.once('drain', more)
    }
    response.end()
  }
  more()
  return { sentBytes: () => sent }
}

test('threat row 25: a line of 1 GB is cut at the cap, little more is read and memory stays', async () => {
  let offered = { sentBytes: () => 0 }
  await using server = await serve((response) => {
    response.writeHead(200, SSE_HEAD)
    response.write('data: before\n\ndata: ')
    offered = offer(response, Buffer.alloc(64 * 1024, 'a'), 1024 * MEGABYTE)
  })
  const sink = recordingSink()
  const before = process.memoryUsage().rss
  const result = await executeHttp({ url: server.url }, { mode: 'stream', sinks: [sink] })
  const grown = process.memoryUsage().rss - before
  assert.deepEqual([result.error?.code, result.error?.detail], ['LIMIT_EXCEEDED', { limit: 'max_event_bytes', value: MEGABYTE }])
  assert.deepEqual([sink.data(), sink.closes()], [['before'], 1])
  // What is beyond the cap sits in the buffers of the system's sockets.
  assert.ok(offered.sentBytes() < 24 * MEGABYTE, `${offered.sentBytes()} bytes were taken`)
  assert.ok(grown < 32 * MEGABYTE, `memory grew by ${grown} bytes`)
})

test('threat row 26: a million tiny events are all delivered, and other work gets its turns in between', async () => {
  const events = 1_000_000
  await using server = await serve((response) => {
    response.writeHead(200, SSE_HEAD)
    offer(response, Buffer.from('data:x\n\n'.repeat(10_000)), events * 8)
  })
  const turns = countTurns()
  let count = 0
  const sink = { write: () => void (count += 1), close: () => Promise.resolve() }
  const result = await executeHttp({ url: server.url }, { mode: 'stream', sinks: [{ type: 'counting', onError: 'fail', sink }] })
  turns.stop()
  assert.deepEqual([result.error, result.stream_events_count, count], [null, events, events])
  assert.equal(result.stream_destinations[0]?.delivered, events)
  // Whoever read eight megabytes before the loop turns would hold up everybody else; ten turns are usual.
  assert.ok(turns.count() >= 4, `the loop turned ${turns.count()} times`)
})

test('threat row 26: a slow synchronous sink does not keep other work from its turns', async () => {
  await using server = await serve((response) =>
    sendEvents(response, ...Array.from({ length: 300 }, (_, index) => String(index))),
  )
  const turns = countTurns()
  const slow = recordingSink('fail', () => {
    const until = performance.now() + 1
    while (performance.now() < until);
  })
  await executeHttp({ url: server.url }, { mode: 'stream', sinks: [slow] })
  turns.stop()
  assert.equal(slow.events.length, 300)
  assert.ok(turns.count() > 10, `the loop turned ${turns.count()} times`)
})

function countTurns(): { count(): number; stop(): void } {
  let count = 0
  let isOn = true
  const turn = (): void => {
    count += 1
    if (isOn) setImmediate(turn)
  }
  setImmediate(turn)
  return { count: () => count, stop: () => (isOn = false) }
}

const BOMBS = { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync }
for (const [name, encode] of Object.entries(BOMBS)) {
  test(`threat row 29: a ${name} bomb is stopped at the cap on decoded bytes, in sync and in stream mode`, async () => {
    const bomb = encode(Buffer.alloc(64 * MEGABYTE, 'data: 1\n\n'))
    await using server = await serve((response) => response.writeHead(200, { ...SSE_HEAD, 'content-encoding': name }).end(bomb))
    const limits = { max_response_bytes: 9 * 1000 }
    const before = process.memoryUsage().rss
    const sync = await executeHttp({ url: server.url }, { mode: 'sync' })
    const stream = await executeHttp({ url: server.url, limits }, { mode: 'stream' })
    const grown = process.memoryUsage().rss - before
    assert.deepEqual(
      [sync.error?.detail, String(sync.body).length],
      [{ limit: 'max_response_bytes', value: 10 * MEGABYTE }, 10 * MEGABYTE],
    )
    assert.deepEqual([stream.error?.code, stream.stream_events_count], ['LIMIT_EXCEEDED', 1000])
    assert.ok(grown < 48 * MEGABYTE, `memory grew by ${grown} bytes`)
  })
}

test('threat row 29: the bomb in an error answer is stopped too, and the status is still told', async () => {
  const bomb = gzipSync(Buffer.alloc(32 * MEGABYTE))
  await using server = await serve((response) => response.writeHead(500, { 'content-encoding': 'gzip' }).end(bomb))
  const result = await executeHttp({ url: server.url }, { mode: 'stream' })
  assert.deepEqual([result.error?.code, result.error?.detail], ['HTTP_STATUS', { status: 500, body_problem: 'LIMIT_EXCEEDED' }])
})

test('a stream ends at its cap on events', async () => {
  await using server = await serve((response) => sendEvents(response, '1', '2', '3'))
  const sink = recordingSink()
  const result = await executeHttp({ url: server.url, limits: { max_events: 2 } }, { mode: 'stream', sinks: [sink] })
  assert.deepEqual(
    [result.error?.code, result.error?.detail, sink.data()],
    ['LIMIT_EXCEEDED', { limit: 'max_events', value: 2 }, ['1', '2']],
  )
})

test('an answer whose head is too long is an invalid response', async () => {
  await using server = await serve((response) => response.setHeader('x-long', 'a'.repeat(100_000)).end())
  assert.equal((await executeHttp({ url: server.url }, { mode: 'sync' })).error?.code, 'INVALID_RESPONSE')
})

test('no caller lets a whole answer, or the copy of a stream, take all of the memory', async () => {
  const limits = { max_response_bytes: 129 * MEGABYTE }
  const asked = await executeHttp({ url: 'http://example.com/', limits }, { mode: 'sync' })
  assert.deepEqual(
    [asked.error?.code, asked.error?.message.includes('limits.max_response_bytes')],
    ['CONFIG_VALIDATION_ERROR', true],
  )
  const buffer = createReturnBuffer(1_000_000)
  const event = { event: 'message', data: 'x'.repeat(40 * MEGABYTE), id: '' }
  await buffer.attached.sink.write(event)
  assert.throws(() => buffer.attached.sink.write(event), /send it to a file/)
  assert.equal(buffer.events().length, 1)
})

test('threat row 34: an answer of four million nested brackets is not parsed', async () => {
  // Guard: `isWithinBounds` in readWholeBody. Without it whoever writes the value out is busy for half a minute.
  const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)
  await using server = await serve((response, request) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(nested(request.path === '/deep' ? 4_000_000 : 500))
  })
  const deep = await executeHttp({ url: `${server.url}/deep` }, { mode: 'sync', sinks: [] })
  assert.deepEqual([deep.body, deep.error?.code], [null, 'INVALID_RESPONSE'])
  const usual = await executeHttp({ url: `${server.url}/usual` }, { mode: 'sync', sinks: [] })
  assert.deepEqual([JSON.stringify(usual.body), usual.error], [nested(500), null])
})
