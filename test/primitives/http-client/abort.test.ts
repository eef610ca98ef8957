import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executeHttp } from '../../../src/primitives/http-client/http-client.ts'
import { recordingSink, serve, serveTcp, SSE_HEAD } from './loopback.ts'

test('a call whose signal has already fired sends nothing and closes its sinks', async () => {
  await using server = await serve((response) => response.end())
  const sink = recordingSink()
  const result = await executeHttp({ url: server.url }, { mode: 'stream', sinks: [sink], signal: AbortSignal.abort() })
  assert.deepEqual(
    [result.error?.code, result.error?.retryable, result.attempts, server.requests.length],
    ['ABORTED', false, 0, 0],
  )
  assert.equal(sink.closes(), 1)
})

test('a call is aborted while it connects', async () => {
  const controller = new AbortController()
  await using server = await serveTcp(() => controller.abort())
  const result = await executeHttp({ url: `https://127.0.0.1:${server.port}` }, { mode: 'sync', signal: controller.signal })
  assert.equal(result.error?.code, 'ABORTED')
})

test('a call is aborted while it waits for an answer', async () => {
  const controller = new AbortController()
  await using server = await serve(() => controller.abort())
  const result = await executeHttp({ url: server.url }, { mode: 'sync', signal: controller.signal })
  assert.deepEqual([result.error?.code, result.status_code], ['ABORTED', null])
})

test('a stream is aborted in the middle, keeps what arrived, and hangs up', async () => {
  const controller = new AbortController()
  let onHangUp = (): void => {}
  const hungUp = new Promise<void>((resolve) => (onHangUp = resolve))
  await using server = await serve((response) => {
    response.on('close', onHangUp)
    response.writeHead(200, SSE_HEAD).write('data: 1\n\n')
  })
  const sink = recordingSink('fail', () => controller.abort())
  const config = { url: server.url, stream: { buffer_events: true } }
  const result = await executeHttp(config, { mode: 'stream', sinks: [sink], signal: controller.signal })
  await hungUp
  assert.deepEqual(
    [result.error?.code, result.status_code, result.body],
    ['ABORTED', 200, [{ event: 'message', data: '1', id: '' }]],
  )
  assert.deepEqual([sink.data(), sink.closes()], [['1'], 1])
})

test('the body of a refusal is not waited for after an abort', async () => {
  const controller = new AbortController()
  await using server = await serve((response) => response.writeHead(500).write('never ends', () => controller.abort()))
  const result = await executeHttp({ url: server.url }, { mode: 'sync', signal: controller.signal })
  assert.equal(result.error?.code, 'ABORTED')
})

test('the wait before another attempt is aborted', async () => {
  const controller = new AbortController()
  await using server = await serve((response) => {
    response.on('close', () => setImmediate(() => controller.abort()))
    response.writeHead(503).end()
  })
  const config = { url: server.url, retry: { max_attempts: 2, backoff_ms: [60_000] } }
  const result = await executeHttp(config, { mode: 'sync', signal: controller.signal })
  assert.deepEqual([result.error?.code, server.requests.length], ['ABORTED', 1])
})

test('a call leaves no listener on the signal', async () => {
  const controller = new AbortController()
  let listeners = 0
  const { signal } = controller
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...parameters: Parameters<typeof add>) => {
    listeners += 1
    add(...parameters)
  }
  signal.removeEventListener = (...parameters: Parameters<typeof remove>) => {
    listeners -= 1
    remove(...parameters)
  }
  await using server = await serve((response, _, index) => response.writeHead(index === 0 ? 503 : 200).end())
  const result = await executeHttp({ url: server.url, retry: { max_attempts: 2, backoff_ms: [1] } }, { mode: 'sync', signal })
  assert.deepEqual([result.attempts, listeners], [2, 0])
})
