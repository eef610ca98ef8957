import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from '../../../src/primitives/http-client/config.ts'
import type { HttpRequest } from '../../../src/primitives/http-client/config.ts'
import { executeHttp } from '../../../src/primitives/http-client/http-client.ts'
import { recordingSink, serve } from './loopback.ts'

function valid(config: Record<string, unknown>, mode: 'sync' | 'stream' = 'sync'): HttpRequest {
  const parsed = parseConfig({ url: 'http://localhost/', ...config }, mode)
  if (parsed.kind === 'invalid') assert.fail(JSON.stringify(parsed.issues))
  return parsed.request
}

function invalidFields(config: unknown, mode: unknown = 'sync'): string[] {
  const parsed = parseConfig(config, mode)
  return parsed.kind === 'invalid' ? parsed.issues.map((issue) => issue.field) : []
}

const withField = (config: Record<string, unknown>): string[] => invalidFields({ url: 'http://localhost/', ...config })

test('the defaults are a GET whose every timer and cap is on', () => {
  const { method, body, timeouts, limits, retry, maxRedirects, returnBuffer } = valid({})
  assert.deepEqual(
    { method, body, maxRedirects, returnBuffer, attempts: retry.maxAttempts },
    { method: 'GET', body: null, maxRedirects: 0, returnBuffer: null, attempts: 1 },
  )
  assert.deepEqual(timeouts, { connectMs: 10_000, firstByteMs: 120_000, betweenBytesMs: 60_000, totalMs: 600_000 })
  assert.deepEqual(limits, { maxEventBytes: 1_048_576, maxResponseBytes: 10_485_760, maxEvents: 2_000_000 })
})

test('a body makes it a POST, a JSON value is serialised with its content type', () => {
  const { method, body, headers } = valid({ body: { a: [1, 'ü'] } })
  assert.deepEqual(
    { method, body, headers },
    { method: 'POST', body: '{"a":[1,"ü"]}', headers: { 'content-type': 'application/json' } },
  )
})

test('a text body goes out as it is, and a configured content type stays', () => {
  assert.deepEqual(valid({ body: 'a=1' }).headers, {})
  assert.deepEqual(valid({ body: {}, headers: { 'Content-Type': 'application/x-custom' } }).headers, {
    'content-type': 'application/x-custom',
  })
})

test('path and query are appended to what the URL already has', () => {
  const { url } = valid({
    url: 'https://host:8443/base/?a=1#x',
    path: '/v1/messages?b=2',
    query: { c: 'x y&z', d: [1, 2], e: null, f: 'a\r\nb' },
  })
  assert.equal(url.href, 'https://host:8443/base/v1/messages?a=1&b=2&c=x%20y%26z&d=1&d=2&f=a%0D%0Ab')
})

test('a path can never change the host', () => {
  assert.equal(valid({ url: 'http://localhost', path: '//evil.example/x' }).url.host, 'localhost')
  assert.equal(valid({ url: 'http://localhost', path: '@evil.example' }).url.host, 'localhost')
})

test('the return destination asks for a buffer of the configured size', () => {
  assert.equal(valid({ stream: { destinations: [{ type: 'return' }] } }, 'stream').returnBuffer, 10_000)
  assert.equal(valid({ stream: { buffer_events: true, max_buffer_size: 5 } }, 'stream').returnBuffer, 5)
  assert.equal(valid({ stream: { destinations: [{ type: 'file_sink' }] } }, 'stream').returnBuffer, null)
})

test('fields of other links of the chain are left alone at the top', () => {
  assert.deepEqual(withField({ wire: 'anthropic_messages', base_url: 'x' }), [])
})

const WRONG: Readonly<Record<string, Record<string, unknown>>> = {
  method: { method: 'FETCH' },
  mode: { mode: 'batch' },
  headers: { headers: ['a'] },
  'headers.host': { headers: { host: 'evil' } },
  'headers.Content-Length': { headers: { 'Content-Length': '5' } },
  'headers.x': { headers: { x: { a: 1 } } },
  'headers.a?b': { headers: { 'a b': '1' } },
  query: { query: 'a=1' },
  'query.a': { query: { a: {} } },
  path: { path: 7 },
  'stream.transport': { stream: { transport: 'carrier-pigeon' } },
  'stream.destination': { stream: { destination: [] } },
  'stream.destinations': { stream: { destinations: 'return' } },
  'stream.max_buffer_size': { stream: { max_buffer_size: 0 } },
  'timeouts_ms.connect': { timeouts_ms: { connect: 0 } },
  'timeouts_ms.total': { timeouts_ms: { total: '5' } },
  'timeouts_ms.idle': { timeouts_ms: { idle: 5 } },
  timeouts_ms: { timeouts_ms: 5 },
  'limits.max_events': { limits: { max_events: 1.5 } },
  'retry.max_attempts': { retry: { max_attempts: 0 } },
  'retry.backoff_ms': { retry: { backoff_ms: [-1] } },
  'retry.retryable_errors': { retry: { retryable_errors: [{}] } },
  follow_redirects: { follow_redirects: 6 },
}

for (const [field, config] of Object.entries(WRONG)) {
  test(`a wrong configuration names the field ${field}`, () => assert.deepEqual(withField(config), [field]))
}

test('a URL must be absolute, HTTP and without credentials', () => {
  assert.deepEqual(invalidFields({}), ['url'])
  assert.deepEqual(invalidFields({ url: '/v1' }), ['url'])
  assert.deepEqual(invalidFields({ url: 'file:///etc/passwd' }), ['url'])
  assert.deepEqual(invalidFields({ url: 'ws://localhost' }), ['url'])
  assert.deepEqual(invalidFields({ url: 'http://user:secret@localhost' }), ['url'])
  assert.deepEqual(invalidFields('http://localhost'), ['config', 'url'])
})

test('a mode other than sync and stream is an error', () => {
  assert.deepEqual(invalidFields({ url: 'http://localhost' }, 'both'), ['mode'])
})

test('a wrong configuration sends nothing, says all that is wrong without secrets, and closes the sinks once', async () => {
  await using server = await serve((response) => response.end())
  const sink = recordingSink()
  const headers = { 'x-api-key': 'secret-value\n' }
  const result = await executeHttp({ url: server.url, headers, timeouts_ms: { total: -1 } }, { mode: 'stream', sinks: [sink] })
  assert.deepEqual(
    [result.success, result.error?.code, result.attempts, server.requests.length],
    [false, 'CONFIG_VALIDATION_ERROR', 0, 0],
  )
  assert.match(result.error?.message ?? '', /`headers\.x-api-key` .*`timeouts_ms\.total` must be/)
  assert.doesNotMatch(JSON.stringify(result), /secret-value/)
  assert.equal(sink.closes(), 1)
})

for (const bad of ['a\r\nX-Injected: y', 'a\rb', 'a\nb', 'a\0b', 'a\u010Ab', 'a\u007Fb']) {
  const shown = JSON.stringify(bad)
  test(`threat row 15: ${shown} in a header value, a header name, the URL or the path is refused and nothing is sent`, async () => {
    await using server = await serve((response) => response.end())
    const configs = [
      { url: server.url, headers: { x: bad } },
      { url: server.url, headers: { [bad]: 'x' } },
      { url: `${server.url}/${bad}` },
      { url: server.url, path: `/${bad}` },
    ]
    const results = await Promise.all(configs.map((config) => executeHttp(config, { mode: 'sync' })))
    assert.deepEqual(
      results.map((result) => result.error?.code),
      configs.map(() => 'CONFIG_VALIDATION_ERROR'),
    )
    assert.equal(server.requests.length, 0)
  })
}
