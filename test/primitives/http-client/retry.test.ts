import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HttpErrorCode, HttpRetry } from '../../../src/primitives/http-client/contract.ts'
import { createHttpClient, executeHttp } from '../../../src/primitives/http-client/http-client.ts'
import { nextAttemptDelay, readRetryAfterMs } from '../../../src/primitives/http-client/retry.ts'
import { closedPort, recordingSink, sendEvents, serve, serveTcp, SSE_HEAD } from './loopback.ts'

const retry = { max_attempts: 3, backoff_ms: [1] }

for (const [status, code] of [
  [429, 'RATE_LIMITED'],
  [503, '503_SERVICE_UNAVAILABLE'],
  [529, 'OVERLOADED'],
] as const) {
  test(`a POST that is refused with ${status} is sent again`, async () => {
    await using server = await serve((response, _, index) =>
      index < 2 ? response.writeHead(status).end() : sendEvents(response, 'ok'),
    )
    const sink = recordingSink()
    const result = await executeHttp({ url: server.url, body: { a: 1 }, retry }, { mode: 'stream', sinks: [sink] })
    assert.deepEqual(
      [result.success, result.attempts, server.requests.length, sink.data(), sink.closes()],
      [true, 3, 3, ['ok'], 1],
    )
  })

  test(`a call that is refused with ${status} each time ends with ${code}`, async () => {
    await using server = await serve((response) => response.writeHead(status).end())
    const result = await executeHttp({ url: server.url, body: {}, retry }, { mode: 'sync' })
    assert.deepEqual([result.error?.code, result.error?.retryable, result.attempts, result.status_code], [code, true, 3, status])
  })
}

for (const status of [500, 502, 504, 408]) {
  test(`after ${status} a GET is sent again and a POST is not, because it could have acted`, async () => {
    await using server = await serve((response) => response.writeHead(status).end())
    const get = await executeHttp({ url: server.url, retry }, { mode: 'sync' })
    const post = await executeHttp({ url: server.url, body: {}, retry }, { mode: 'sync' })
    assert.deepEqual([get.attempts, post.attempts, post.error?.retryable], [3, 1, true])
  })
}

for (const status of [400, 401, 403, 404, 413, 422]) {
  test(`${status} is final`, async () => {
    await using server = await serve((response) => response.writeHead(status).end())
    const result = await executeHttp({ url: server.url, retry }, { mode: 'sync' })
    assert.deepEqual([result.attempts, result.error?.retryable], [1, false])
  })
}

test('a POST with an idempotency key is repeated like a GET', async () => {
  await using server = await serve((response) => response.writeHead(500).end())
  const result = await executeHttp({ url: server.url, body: {}, headers: { 'Idempotency-Key': 'k1' }, retry }, { mode: 'sync' })
  assert.equal(result.attempts, 3)
})

test('a refused connection is tried again, also for a POST', async () => {
  const result = await executeHttp({ url: `http://127.0.0.1:${await closedPort()}`, body: {}, retry }, { mode: 'sync' })
  assert.deepEqual([result.error?.code, result.error?.retryable, result.attempts], ['CONNECTION_REFUSED', true, 3])
})

test('whoever asked hears of each attempt that will be repeated, with its reason', async () => {
  const heard: (readonly [number, string])[] = []
  const url = `http://127.0.0.1:${await closedPort()}`
  const onRetry = ({ attempt, error }: HttpRetry): void => void heard.push([attempt, error.code])
  await executeHttp({ url, body: {}, retry }, { mode: 'sync', onRetry })
  assert.deepEqual(heard, [
    [2, 'CONNECTION_REFUSED'],
    [3, 'CONNECTION_REFUSED'],
  ])
})

test('a name that does not exist is a DNS failure', async () => {
  const result = await executeHttp({ url: 'http://kiwi.invalid/' }, { mode: 'sync' })
  assert.deepEqual([result.error?.code, result.error?.retryable], ['DNS_FAILED', true])
})

test('a POST whose connection is lost before an answer is not repeated, a GET is', async () => {
  await using server = await serveTcp((socket) => socket.once('data', () => socket.destroy()))
  const url = `http://127.0.0.1:${server.port}`
  const post = await executeHttp({ url, body: {}, retry }, { mode: 'sync' })
  const get = await executeHttp({ url, retry }, { mode: 'sync' })
  assert.deepEqual(
    [post.error?.code, post.attempts, get.error?.code, get.attempts],
    ['CONNECTION_RESET', 1, 'CONNECTION_RESET', 3],
  )
})

test('only listed codes and statuses are repeated', async () => {
  await using server = await serve((response, request) => response.writeHead(Number(request.path.slice(1))).end())
  const attempts = async (status: number, listed: unknown[]): Promise<number> => {
    const config = { url: server.url, path: `/${status}`, retry: { ...retry, retryable_errors: listed } }
    return (await executeHttp(config, { mode: 'sync' })).attempts
  }
  assert.deepEqual(
    [await attempts(429, ['RATE_LIMITED']), await attempts(502, [502]), await attempts(429, ['502']), await attempts(503, [])],
    [3, 3, 1, 1],
  )
})

test('a stream that has emitted is never repeated', async () => {
  await using server = await serve((response) => {
    response.writeHead(200, SSE_HEAD).write('data: 1\n\n', () => response.destroy())
  })
  const sink = recordingSink()
  const result = await executeHttp({ url: server.url, retry }, { mode: 'stream', sinks: [sink] })
  assert.deepEqual([result.error?.code, result.attempts, sink.data()], ['STREAM_INCOMPLETE', 1, ['1']])
})

test('a stream that is refused by its first event is repeated and its sinks never see the refusal', async () => {
  const refusal = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
  await using server = await serve((response, _, index) =>
    index < 2 ? response.writeHead(200, SSE_HEAD).end(refusal) : sendEvents(response, 'ok'),
  )
  const sink = recordingSink()
  const result = await executeHttp({ url: server.url, body: {}, retry }, { mode: 'stream', sinks: [sink] })
  assert.deepEqual([result.success, result.attempts, sink.data()], [true, 3, ['ok']])
})

test('the last refusal by a first event is delivered', async () => {
  const refusal = '{"error":{"type":"rate_limit_error","message":"later"}}'
  await using server = await serve((response) => sendEvents(response, refusal))
  const sink = recordingSink()
  const result = await executeHttp({ url: server.url, body: {}, retry }, { mode: 'stream', sinks: [sink] })
  assert.deepEqual([result.error?.code, result.attempts, sink.data()], ['STREAM_ERROR_EVENT', 3, [refusal]])
})

test('Retry-After is told in the error, and a wait beyond the total time is not begun', async () => {
  await using server = await serve((response) => response.writeHead(429, { 'retry-after': '30' }).end())
  const result = await executeHttp({ url: server.url, retry, timeouts_ms: { total: 20_000 } }, { mode: 'sync' })
  assert.deepEqual(
    [result.error?.code, result.attempts, result.error?.detail],
    ['RATE_LIMITED', 1, { status: 429, retry_after_ms: 30_000 }],
  )
})

test('Retry-After is read in seconds, in milliseconds and as a date', () => {
  const nowMs = Date.UTC(2026, 0, 1, 12, 0, 0)
  assert.equal(readRetryAfterMs({ 'retry-after': '2' }, nowMs), 2000)
  assert.equal(readRetryAfterMs({ 'retry-after': '2', 'retry-after-ms': '1500' }, nowMs), 1500)
  assert.equal(readRetryAfterMs({ 'retry-after': 'Thu, 01 Jan 2026 12:00:05 GMT' }, nowMs), 5000)
  assert.equal(readRetryAfterMs({ 'retry-after': 'Thu, 01 Jan 2026 11:00:00 GMT' }, nowMs), 0)
  assert.deepEqual([readRetryAfterMs({ 'retry-after': 'soon' }, nowMs), readRetryAfterMs({}, nowMs)], [null, null])
})

test('the wait is the backoff of the attempt or a longer Retry-After up to its cap, spread by up to a quarter', () => {
  const policy = { maxAttempts: 9, backoffMs: [100, 400], retryableErrors: null, maxRetryAfterMs: 5000 }
  const code: HttpErrorCode = 'RATE_LIMITED'
  const facts = { error: { code, message: '', retryable: true }, statusCode: 429, hasEmitted: false, surelyNotActed: true }
  const delay = (attempt: number, retryAfterMs: number | null, random = 0): number | null =>
    nextAttemptDelay({ ...facts, retryAfterMs }, attempt, policy, { idempotent: false, random: () => random })
  assert.deepEqual([delay(1, null), delay(2, null), delay(3, null), delay(9, null)], [100, 400, 400, null])
  assert.deepEqual([delay(1, 1000), delay(1, 60_000), delay(1, 10), delay(1, null, 0.8)], [1000, 5000, 100, 120])
})

test('a kept connection that the server has closed is replaced for a GET without counting as a failure', async () => {
  await using server = await serveTcp((socket) => {
    // Answers once, then resets the connection as soon as it is used again.
    let used = false
    socket.on('data', () => {
      if (used) socket.resetAndDestroy()
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      used = true
    })
  })
  const client = createHttpClient()
  const url = `http://127.0.0.1:${server.port}`
  const first = await client.execute({ url }, { mode: 'sync' })
  const second = await client.execute({ url }, { mode: 'sync' })
  const third = await client.execute({ url, body: 'x' }, { mode: 'sync' })
  client.close()
  assert.deepEqual([first.body, first.attempts, second.body, second.attempts], ['ok', 1, 'ok', 2])
  assert.deepEqual([third.error?.code, third.attempts, server.connections()], ['CONNECTION_RESET', 1, 2])
})
