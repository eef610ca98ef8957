import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { HttpResult } from '../../../src/primitives/http-client/contract.ts'
import { executeHttp } from '../../../src/primitives/http-client/http-client.ts'
import { closedPort, recordingSink, serve } from './loopback.ts'
import type { RecordingSink } from './loopback.ts'

async function webSocketServer(onSocket: (socket: WebSocket) => void): Promise<{ url: string } & AsyncDisposable> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (socket) => onSocket(socket))
  await once(server, 'listening')
  const close = async (): Promise<void> => {
    for (const client of server.clients) client.terminate()
    await new Promise((resolve) => server.close(resolve))
  }
  // A server that listens on a TCP port has an address object.
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, [Symbol.asyncDispose]: close }
}

async function stream(
  url: string,
  config: Record<string, unknown> = {},
  signal?: AbortSignal,
): Promise<{ result: HttpResult; sink: RecordingSink }> {
  const sink = recordingSink()
  const execution = { mode: 'stream' as const, sinks: [sink], ...(signal === undefined ? {} : { signal }) }
  const result = await executeHttp({ url, stream: { transport: 'websocket' }, ...config }, execution)
  assert.equal(sink.closes(), 1)
  return { result, sink }
}

test('messages become events, the end marker does not, and a normal close is a whole stream', async () => {
  await using server = await webSocketServer((socket) => {
    for (const message of ['{"a":1}', 'ü', '[DONE]']) socket.send(message)
    socket.send(Buffer.from([1, 2]))
    socket.close(1000)
  })
  const { result, sink } = await stream(server.url)
  assert.deepEqual([result.error, result.status_code, result.stream_events_count], [null, 101, 3])
  assert.deepEqual(
    sink.events.map(({ event, data }) => [event, data]),
    [
      ['message', '{"a":1}'],
      ['message', 'ü'],
      ['binary', 'AQI='],
    ],
  )
})

test('the body goes out as the first message, and an http URL is understood', async () => {
  await using server = await webSocketServer((socket) => {
    socket.on('message', (message) => {
      if (Buffer.isBuffer(message)) socket.send(message.toString('utf8'))
      socket.close()
    })
  })
  const { sink } = await stream(server.url.replace('ws:', 'http:'), { body: { model: 'm' } })
  assert.deepEqual(sink.data(), ['{"model":"m"}'])
})

test('a lost connection and a close for a reason are incomplete streams', async () => {
  await using lost = await webSocketServer((socket) => socket.send('1', () => socket.terminate()))
  await using closed = await webSocketServer((socket) => socket.close(1011, 'server fell over'))
  const first = await stream(lost.url)
  const second = await stream(closed.url)
  assert.deepEqual([first.result.error?.code, first.sink.data()], ['STREAM_INCOMPLETE', ['1']])
  assert.deepEqual(second.result.error?.detail, { close_code: 1011, close_reason: 'server fell over' })
})

test('a refused handshake keeps its status and body, and is repeated where the policy says so', async () => {
  await using server = await serve((response) =>
    response.writeHead(503, { 'content-type': 'application/json' }).end('{"message":"later"}'),
  )
  const retry = { max_attempts: 2, backoff_ms: [1] }
  const { result } = await stream(server.url, { retry })
  assert.deepEqual([result.error?.code, result.status_code, result.body], ['503_SERVICE_UNAVAILABLE', 503, { message: 'later' }])
  assert.deepEqual([result.attempts, server.requests.length], [2, 2])
})

test('a refused connection is tried again', async () => {
  const { result } = await stream(`ws://127.0.0.1:${await closedPort()}`, { retry: { max_attempts: 2, backoff_ms: [1] } })
  assert.deepEqual([result.error?.code, result.attempts], ['CONNECTION_REFUSED', 2])
})

test('an error told in a message is an error of the stream', async () => {
  await using server = await webSocketServer((socket) => {
    socket.send('{"type":"error","error":{"type":"rate_limit_exceeded","message":"slow down"}}')
    socket.close()
  })
  const { result } = await stream(server.url)
  assert.deepEqual([result.error?.code, result.error?.retryable], ['STREAM_ERROR_EVENT', true])
})

test('messages, bytes and events have their caps', async () => {
  await using server = await webSocketServer((socket) => {
    for (const size of [10, 10, 10, 2000]) socket.send('x'.repeat(size))
  })
  const limits = async (cap: Record<string, number>): Promise<unknown> =>
    (await stream(server.url, { limits: cap })).result.error?.detail?.['limit']
  assert.equal(await limits({ max_event_bytes: 1000 }), 'max_event_bytes')
  assert.equal(await limits({ max_response_bytes: 25 }), 'max_response_bytes')
  assert.equal(await limits({ max_events: 2 }), 'max_events')
})

test('timers and the signal end a WebSocket stream', async () => {
  const controller = new AbortController()
  await using silent = await webSocketServer(() => {})
  await using stalled = await webSocketServer((socket) => socket.send('1'))
  await using aborted = await webSocketServer(() => controller.abort())
  const first = await stream(silent.url, { timeouts_ms: { first_byte: 30 } })
  const second = await stream(stalled.url, { timeouts_ms: { between_bytes: 30 } })
  const third = await stream(aborted.url, {}, controller.signal)
  assert.deepEqual(
    [first.result.error?.detail?.['timer'], second.result.error?.detail?.['timer']],
    ['first_byte', 'between_bytes'],
  )
  assert.deepEqual([second.sink.data(), third.result.error?.code], [['1'], 'ABORTED'])
})
