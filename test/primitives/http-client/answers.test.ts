import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { createHttpClient, createHttpPrimitive, executeHttp } from '../../../src/primitives/http-client/http-client.ts'
import { recordingSink, sendEvents, serve, SSE_HEAD } from './loopback.ts'

test('a JSON answer is parsed and other answers are text', async () => {
  await using server = await serve((response, request) => {
    response.setHeader('content-type', request.path === '/json' ? 'application/problem+json' : 'text/plain; charset=iso-8859-1')
    response.end(request.path === '/json' ? '{"a":1}' : Buffer.from([0xfc]))
  })
  const json = await executeHttp({ url: server.url, path: '/json' }, { mode: 'sync' })
  const text = await executeHttp({ url: server.url, path: '/text' }, { mode: 'sync' })
  assert.deepEqual([json.success, json.status_code, json.body, json.attempts], [true, 200, { a: 1 }, 1])
  assert.equal(text.body, 'ü')
})

test('an empty answer has a null body', async () => {
  await using server = await serve((response) => response.writeHead(204).end())
  assert.deepEqual((await executeHttp({ url: server.url }, { mode: 'sync' })).body, null)
})

test('the request arrives as configured', async () => {
  await using server = await serve((response) => response.end())
  await executeHttp({ url: server.url, path: '/v1', method: 'put', headers: { 'X-Key': 5 }, body: { a: 'ü' } }, { mode: 'sync' })
  const [request] = server.requests
  assert.deepEqual([request?.method, request?.path, request?.headers['x-key'], request?.body], ['PUT', '/v1', '5', '{"a":"ü"}'])
  assert.equal(request?.headers['content-length'], '10')
})

test('an answer that says JSON and is not is an invalid response that keeps its text', async () => {
  await using server = await serve((response) => response.setHeader('content-type', 'application/json').end('<html>'))
  const result = await executeHttp({ url: server.url }, { mode: 'sync' })
  assert.deepEqual([result.error?.code, result.body], ['INVALID_RESPONSE', '<html>'])
})

const ENCODERS = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync }
for (const [name, encode] of Object.entries(ENCODERS)) {
  test(`an answer and a stream in ${name} are decoded`, async () => {
    await using server = await serve((response, request) => {
      response.writeHead(200, { 'content-encoding': name, ...(request.path === '/stream' ? SSE_HEAD : {}) })
      response.end(encode(Buffer.from('data: hello\n\n')))
    })
    const sink = recordingSink()
    assert.equal((await executeHttp({ url: server.url }, { mode: 'sync' })).body, 'data: hello\n\n')
    assert.equal((await executeHttp({ url: server.url, path: '/stream' }, { mode: 'stream', sinks: [sink] })).success, true)
    assert.deepEqual(sink.data(), ['hello'])
  })
}

test('encodings on top of each other are undone in order, unknown ones are an invalid response', async () => {
  await using server = await serve((response, request) => {
    response.setHeader('content-encoding', request.path === '/two' ? 'gzip, br' : 'rot13')
    response.end(brotliCompressSync(gzipSync(Buffer.from('hello'))))
  })
  assert.equal((await executeHttp({ url: server.url, path: '/two' }, { mode: 'sync' })).body, 'hello')
  assert.equal((await executeHttp({ url: server.url, path: '/one' }, { mode: 'sync' })).error?.code, 'INVALID_RESPONSE')
})

for (const mode of ['sync', 'stream'] as const) {
  test(`an answer that is not 2xx keeps its body in ${mode} mode and tells the provider's message`, async () => {
    const body = { type: 'error', error: { type: 'invalid_request_error', message: 'max_tokens is missing' } }
    await using server = await serve((response) =>
      response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
    )
    const sink = recordingSink()
    const result = await executeHttp({ url: server.url, path: '/v1?key=secret' }, { mode, sinks: [sink] })
    assert.deepEqual([result.success, result.status_code, result.body], [false, 400, body])
    assert.deepEqual([result.error?.code, result.error?.retryable, result.error?.detail], ['HTTP_STATUS', false, { status: 400 }])
    assert.match(
      result.error?.message ?? '',
      /GET http:\/\/127\.0\.0\.1:\d+\/v1: the server answered 400 Bad Request: max_tokens is missing/,
    )
    assert.deepEqual([sink.events.length, sink.closes()], [0, 1])
  })
}

test('a stream that is answered with plain JSON is an invalid response that keeps its body', async () => {
  await using server = await serve((response) => response.setHeader('content-type', 'application/json').end('{"a":1}'))
  const result = await executeHttp({ url: server.url }, { mode: 'stream' })
  assert.deepEqual([result.error?.code, result.body], ['INVALID_RESPONSE', { a: 1 }])
})

test('a stream goes to every sink, to the return buffer up to its size, and is counted', async () => {
  await using server = await serve((response) => sendEvents(response, '1', '2', '3', '[DONE]'))
  const [first, second] = [recordingSink(), recordingSink('drop')]
  const stream = { destinations: [{ type: 'return' }], max_buffer_size: 2 }
  const result = await executeHttp({ url: server.url, stream }, { mode: 'stream', sinks: [first, second] })
  assert.deepEqual(
    [first.data(), second.data()],
    [
      ['1', '2', '3'],
      ['1', '2', '3'],
    ],
  )
  assert.deepEqual(result.body, [
    { event: 'message', data: '1', id: '' },
    { event: 'message', data: '2', id: '' },
  ])
  assert.deepEqual([result.success, result.stream_events_count], [true, 3])
  assert.deepEqual(
    result.stream_destinations.map(({ type, delivered, lost }) => [type, delivered, lost]),
    [
      ['recording', 3, 0],
      ['recording', 3, 0],
      ['return', 2, 1],
    ],
  )
})

test('without the return sink the body of a stream is null', async () => {
  await using server = await serve((response) => sendEvents(response, '1'))
  assert.equal((await executeHttp({ url: server.url }, { mode: 'stream' })).body, null)
})

const ERROR_EVENTS: Readonly<Record<string, { text: string; retryable: boolean; type: unknown }>> = {
  'an error event of the Anthropic wire': {
    text: 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
    retryable: true,
    type: 'overloaded_error',
  },
  'an error payload of the OpenAI wire': {
    text: 'data: {"error":{"message":"slow down","type":"rate_limit_exceeded","code":null}}\n\n',
    retryable: true,
    type: 'rate_limit_exceeded',
  },
  'an error beside choices': {
    text: 'data: {"choices":[],"error":{"code":502,"message":"bad gateway"}}\n\n',
    retryable: true,
    type: 502,
  },
  'an error that a repeat cannot cure': {
    text: 'data: {"error":{"message":"bad","type":"invalid_request_error"}}\n\n',
    retryable: false,
    type: 'invalid_request_error',
  },
  'an error event of plain text': { text: 'event: error\ndata: out of memory\n\n', retryable: false, type: 'error' },
}

for (const [name, { text, retryable, type }] of Object.entries(ERROR_EVENTS)) {
  test(`${name} inside a 200 is an error, and all events are delivered`, async () => {
    await using server = await serve((response) => response.writeHead(200, SSE_HEAD).end(`data: first\n\n${text}data: last\n\n`))
    const sink = recordingSink()
    const result = await executeHttp({ url: server.url }, { mode: 'stream', sinks: [sink] })
    assert.deepEqual([result.status_code, result.error?.code, result.error?.retryable], [200, 'STREAM_ERROR_EVENT', retryable])
    assert.deepEqual([result.error?.detail?.['error_type'], sink.events.length, sink.data().at(-1)], [type, 3, 'last'])
  })
}

test('the word error in a payload is not an error', async () => {
  const payloads = [
    '{"error":null,"a":1}',
    '{"delta":{"text":"\\"error\\""}}',
    '{"nested":{"error":{"message":"x"}}}',
    '{"error":""}',
    '["error"]',
  ]
  await using server = await serve((response) => sendEvents(response, ...payloads))
  assert.equal((await executeHttp({ url: server.url }, { mode: 'stream' })).error, null)
})

test('a stream that is cut keeps what arrived and says that it is incomplete', async () => {
  await using server = await serve((response) => {
    response.writeHead(200, SSE_HEAD)
    response.write('data: 1\n\ndata: 2\n\ndata: {"half', () => response.destroy())
  })
  const sink = recordingSink()
  const result = await executeHttp({ url: server.url, stream: { buffer_events: true } }, { mode: 'stream', sinks: [sink] })
  assert.deepEqual(
    [result.success, result.status_code, result.error?.code, result.error?.retryable],
    [false, 200, 'STREAM_INCOMPLETE', true],
  )
  assert.deepEqual([sink.data(), sink.closes(), Array.isArray(result.body) && result.body.length], [['1', '2'], 1, 2])
})

test('a compressed stream that is cut keeps what can be decoded', async () => {
  const packed = gzipSync(Buffer.from(`data: 1\n\ndata: ${'x'.repeat(100)}\n\n`))
  await using server = await serve((response) => {
    response.writeHead(200, { ...SSE_HEAD, 'content-encoding': 'gzip' })
    response.write(packed.subarray(0, -6), () => response.destroy())
  })
  const sink = recordingSink()
  const result = await executeHttp({ url: server.url }, { mode: 'stream', sinks: [sink] })
  assert.deepEqual([result.error?.code, sink.data()[0]], ['STREAM_INCOMPLETE', '1'])
})

test('a stream that is cut after its end marker is whole', async () => {
  await using server = await serve((response) => {
    response.writeHead(200, SSE_HEAD)
    response.write('data: 1\n\ndata: [DONE]\n\n', () => response.destroy())
  })
  assert.equal((await executeHttp({ url: server.url }, { mode: 'stream' })).error, null)
})

test('a stream that ends in order inside an event is incomplete, and one without end marker is whole', async () => {
  await using server = await serve((response, request) =>
    response.writeHead(200, SSE_HEAD).end(`data: 1\n\n${request.path === '/half' ? 'data: 2' : ''}`),
  )
  assert.equal((await executeHttp({ url: server.url, path: '/half' }, { mode: 'stream' })).error?.code, 'STREAM_INCOMPLETE')
  assert.equal((await executeHttp({ url: server.url, path: '/whole' }, { mode: 'stream' })).error, null)
})

test('a whole answer that is cut is a lost connection', async () => {
  await using server = await serve((response) => {
    response.writeHead(200, { 'content-length': 100 })
    response.write('half', () => response.destroy())
  })
  const result = await executeHttp({ url: server.url }, { mode: 'sync' })
  assert.deepEqual([result.error?.code, result.body], ['CONNECTION_RESET', 'half'])
})

test('connections are reused by one client', async () => {
  const ports = new Set<number | undefined>()
  await using server = await serve((response) => {
    ports.add(response.socket?.remotePort)
    sendEvents(response, '1')
  })
  const client = createHttpClient()
  for (const mode of ['sync', 'stream', 'stream'] as const) await client.execute({ url: server.url }, { mode })
  client.close()
  assert.equal(ports.size, 1)
})

test('a primitive takes the mode from the configuration and gives the error of its result', async () => {
  await using server = await serve((response) => sendEvents(response, '1'))
  const primitive = createHttpPrimitive()
  const sink = recordingSink()
  const good = await primitive.execute({ config: { url: server.url, mode: 'stream' }, context: {}, sinks: [sink] })
  const bad = await primitive.execute({ config: { url: server.url, mode: 'both' }, context: {}, sinks: [] })
  primitive.close()
  assert.deepEqual([primitive.id, good.error, good.value.stream_events_count, sink.data()], ['http_client', null, 1, ['1']])
  assert.deepEqual([bad.error?.code, bad.value.success], ['CONFIG_VALIDATION_ERROR', false])
})

test('a redirect is an answer unless it was asked to be followed', async () => {
  await using server = await serve((response, request) => {
    if (request.path === '/new') response.end('moved here')
    else response.writeHead(302, { location: '/new' }).end()
  })
  const stay = await executeHttp({ url: server.url }, { mode: 'sync' })
  const follow = await executeHttp({ url: server.url, follow_redirects: true, body: { a: 1 } }, { mode: 'sync' })
  assert.deepEqual([stay.status_code, stay.error?.code, stay.headers['location']], [302, 'HTTP_STATUS', '/new'])
  assert.deepEqual(
    [follow.body, follow.attempts, server.requests.at(-1)?.method, server.requests.at(-1)?.body],
    ['moved here', 2, 'GET', ''],
  )
})

test('credentials do not follow a redirect to another origin, and a loop of redirects ends', async () => {
  await using other = await serve((response) => response.writeHead(307, { location: '/again' }).end())
  await using server = await serve((response) => response.writeHead(307, { location: other.url }).end())
  const headers = { authorization: 'Bearer x', 'x-api-key': 'y', cookie: 'z', 'content-type': 'text/plain' }
  const result = await executeHttp({ url: server.url, follow_redirects: 3, headers, body: 'hello' }, { mode: 'sync' })
  const [first] = other.requests
  assert.deepEqual([result.status_code, result.attempts, other.requests.length], [307, 4, 3])
  assert.deepEqual(
    [first?.headers.authorization, first?.headers['x-api-key'], first?.headers.cookie, first?.body],
    [undefined, undefined, undefined, 'hello'],
  )
})
