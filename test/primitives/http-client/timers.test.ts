import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { executeHttp } from '../../../src/primitives/http-client/http-client.ts'
import { recordingSink, serve, serveTcp, SSE_HEAD } from './loopback.ts'

/** Writes the piece again and again until the connection is gone. */
function drip(response: ServerResponse, piece: string): void {
  const timer = setInterval(() => response.write(piece), 10)
  response.on('close', () => clearInterval(timer))
}

for (const mode of ['sync', 'stream'] as const) {
  test(`threat row 28: a server that accepts and never answers runs into the first-byte timer in ${mode} mode`, async () => {
    await using server = await serveTcp(() => {})
    const sink = recordingSink()
    const config = { url: `http://127.0.0.1:${server.port}`, timeouts_ms: { first_byte: 50 } }
    const result = await executeHttp(config, { mode, sinks: [sink] })
    assert.deepEqual(
      [result.error?.code, result.error?.detail, result.error?.retryable],
      ['TIMEOUT', { timer: 'first_byte', ms: 50 }, true],
    )
    assert.equal(sink.closes(), 1)
  })
}

test('threat row 28: a head that never ends runs into the first-byte timer', async () => {
  await using server = await serveTcp((socket) => void socket.write('HTTP/1.1 200 OK\r\nx-slow: '))
  const result = await executeHttp(
    { url: `http://127.0.0.1:${server.port}`, timeouts_ms: { first_byte: 50 } },
    { mode: 'stream' },
  )
  assert.deepEqual(result.error?.detail, { timer: 'first_byte', ms: 50 })
})

test('threat row 28: a body that never begins runs into the first-byte timer, however early its head came', async () => {
  await using server = await serve((response) => response.writeHead(200, SSE_HEAD).flushHeaders())
  const result = await executeHttp({ url: server.url, timeouts_ms: { first_byte: 50, between_bytes: 1 } }, { mode: 'stream' })
  assert.deepEqual([result.status_code, result.error?.detail], [200, { timer: 'first_byte', ms: 50 }])
})

test('threat row 28: a half-open stream runs into the timer between bytes and keeps what arrived', async () => {
  await using server = await serve((response) => response.writeHead(200, SSE_HEAD).write('data: 1\n\ndata: 2'))
  const sink = recordingSink()
  const result = await executeHttp({ url: server.url, timeouts_ms: { between_bytes: 50 } }, { mode: 'stream', sinks: [sink] })
  assert.deepEqual([result.error?.code, result.error?.detail], ['TIMEOUT', { timer: 'between_bytes', ms: 50 }])
  assert.deepEqual([sink.data(), sink.closes()], [['1'], 1])
})

test('threat row 28: a provider that drips single bytes runs into the total timer', async () => {
  await using server = await serve((response) => drip(response.writeHead(200, SSE_HEAD), 'a'))
  const result = await executeHttp({ url: server.url, timeouts_ms: { between_bytes: 5000, total: 150 } }, { mode: 'stream' })
  assert.deepEqual([result.error?.code, result.error?.detail], ['TIMEOUT', { timer: 'total', ms: 150 }])
})

test('comments are life: a stream of pings outlives the timer between bytes', async () => {
  await using server = await serve((response) => {
    response.writeHead(200, SSE_HEAD)
    let pings = 0
    const timer = setInterval(() => {
      response.write(': ping\n\n')
      pings += 1
      if (pings < 40) return
      clearInterval(timer)
      response.end('data: late\n\n')
    }, 20)
  })
  const sink = recordingSink()
  const result = await executeHttp({ url: server.url, timeouts_ms: { between_bytes: 500 } }, { mode: 'stream', sinks: [sink] })
  assert.deepEqual([result.error, sink.data()], [null, ['late']])
})

test('a TLS handshake that never ends runs into the connect timer', async () => {
  await using server = await serveTcp(() => {})
  const result = await executeHttp({ url: `https://127.0.0.1:${server.port}`, timeouts_ms: { connect: 50 } }, { mode: 'sync' })
  assert.deepEqual([result.error?.code, result.error?.detail], ['TIMEOUT', { timer: 'connect', ms: 50 }])
})

test('a server without TLS is a TLS failure that a repeat cannot cure', async () => {
  await using server = await serve((response) => response.end())
  const result = await executeHttp({ url: `https://127.0.0.1:${server.port}` }, { mode: 'sync' })
  assert.deepEqual([result.error?.code, result.error?.retryable], ['TLS_FAILED', false])
})

test('the total timer bounds all attempts together', async () => {
  await using server = await serveTcp(() => {})
  const config = {
    url: `http://127.0.0.1:${server.port}`,
    timeouts_ms: { first_byte: 60, total: 200 },
    retry: { max_attempts: 100, backoff_ms: [1] },
  }
  const result = await executeHttp(config, { mode: 'sync' })
  assert.equal(result.error?.code, 'TIMEOUT')
  assert.ok(result.attempts > 1 && result.attempts < 6, `${result.attempts} attempts`)
})
