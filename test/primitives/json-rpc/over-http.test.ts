import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import { after, before, test } from 'node:test'
import type { JsonObject } from '../../../src/json.ts'
import { createHttpPrimitive } from '../../../src/primitives/http-client/http-client.ts'
import type { RpcOutcome } from '../../../src/primitives/json-rpc/contract.ts'
import { createJsonRpcOverHttp } from '../../../src/primitives/json-rpc/over-http.ts'
import { answerTo } from './service.ts'

interface Received {
  readonly method: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

const http = createHttpPrimitive()
const protocol = createJsonRpcOverHttp(http)
const received: Received[] = []
/** What other paths than / answer with. */
const ODD: Readonly<Record<string, (response: ServerResponse, body: string) => void>> = {
  '/plain': (response, body) => response.setHeader('content-type', 'text/plain').end(answerTo(body)),
  '/accepted': (response) => response.writeHead(202).end(),
  '/ok': (response) => response.end('ok'),
  '/html': (response) => response.setHeader('content-type', 'text/html').end('<html>'),
  '/broken': (response) => response.setHeader('content-type', 'application/json').end('{"jsonrpc"'),
  '/empty': (response) => response.end(),
  '/list': (response) => json(response, [{ jsonrpc: '2.0', id: 1, result: 1 }]),
  '/twice': (response) =>
    json(response, [
      { jsonrpc: '2.0', id: 1, result: 1 },
      { jsonrpc: '2.0', id: 1, result: 2 },
    ]),
  '/other-id': (response) => json(response, { jsonrpc: '2.0', id: 99, result: 1 }),
  '/partial': (response) => json(response, [{ jsonrpc: '2.0', id: 2, result: 1 }]),
  '/invalid': (response) => json(response, { jsonrpc: '2.0', id: null, error: { code: -32600, message: 'Invalid Request' } }),
  '/500': (response) =>
    json(response.writeHead(500, JSON_TYPE), { jsonrpc: '2.0', id: 1, error: { code: -32603, message: 'no' } }),
  '/404': (response) => response.writeHead(404).end('nothing here'),
  '/large': (response) => json(response, { jsonrpc: '2.0', id: 1, result: 'x'.repeat(100_000) }),
  '/hang': () => undefined,
}
const JSON_TYPE = { 'content-type': 'application/json' }

function json(response: ServerResponse, value: unknown): void {
  if (!response.headersSent) response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(value))
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks).toString('utf8')
    received.push({ method: request.method ?? '', headers: request.headers, body })
    const odd = ODD[request.url ?? '']
    if (odd !== undefined) return odd(response, body)
    const answer = answerTo(body)
    if (answer === null) response.writeHead(204).end()
    else response.writeHead(200, JSON_TYPE).end(answer)
  })
})
let url = ''

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})
after(async () => {
  http.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

async function call(
  rpc: JsonObject,
  { path = '/', ...config }: JsonObject & { readonly path?: string } = {},
  signal?: AbortSignal,
): Promise<RpcOutcome> {
  return await protocol.call({
    config: { url: `${url}${path}`, ...config, rpc: { protocol: 'json_rpc', ...rpc } },
    parameters: {},
    leaf: { id: 'test', description: '', inputSchema: null },
    context: { projectPath: '/', ...(signal === undefined ? {} : { signal }) },
  })
}

test('a call is one POST of JSON, and its result comes back with its id', async () => {
  assert.deepEqual(await call({ method: 'subtract', params: [42, 23] }), { value: { id: 1, result: 19 }, error: null })
  const { method, headers, body } = received.at(-1) ?? {}
  assert.deepEqual([method, headers?.['content-type'], headers?.['accept']], ['POST', 'application/json', 'application/json'])
  assert.equal(body, '{"jsonrpc":"2.0","id":1,"method":"subtract","params":[42,23]}')
})

test('headers of the tool are sent, and its own accept stays', async () => {
  await call({ method: 'nothing' }, { headers: { Accept: 'application/json-rpc', 'x-own': 'yes' } })
  const { headers } = received.at(-1) ?? {}
  assert.deepEqual([headers?.['accept'], headers?.['x-own']], ['application/json-rpc', 'yes'])
})

test('null is a result', async () => {
  assert.deepEqual(await call({ method: 'nothing', id: 'mine' }), { value: { id: 'mine', result: null }, error: null })
})

test('a batch is one request, and its answers come back by id', async () => {
  const batch = [{ method: 'sum', params: [1, 2] }, { method: 'hello', notification: true }, { method: 'no_such' }]
  const { value, error } = await call({ batch })
  const missing = { rpc_code: -32601, rpc_name: 'method_not_found', message: 'Method not found' }
  assert.deepEqual(value, {
    answers: [
      { id: 1, method: 'sum', result: 3 },
      { id: 2, method: 'no_such', error: missing },
    ],
  })
  assert.equal(error, null)
})

for (const path of ['/', '/accepted', '/empty', '/ok', '/html']) {
  test(`a notification is sent and expects no answer: ${path}`, async () => {
    assert.deepEqual(await call({ method: 'update', notification: true }, { path }), { value: { sent: 1 }, error: null })
    assert.equal(received.at(-1)?.body, '{"jsonrpc":"2.0","method":"update"}')
  })
}

test('a notification that was refused as unreadable is an error', async () => {
  const { error } = await call({ method: 'update', notification: true }, { path: '/invalid' })
  assert.deepEqual([error?.code, error?.detail?.['rpc_name']], ['JSON_RPC_ERROR', 'invalid_request'])
})

test('an error object is JSON_RPC_ERROR with its code, name and data', async () => {
  const { value, error } = await call({ method: 'subtract', params: ['a'] })
  const detail = { rpc_code: -32602, rpc_name: 'invalid_params', data: { expected: 'numbers' } }
  assert.deepEqual([value, error?.code, error?.detail], [null, 'JSON_RPC_ERROR', detail])
})

test('an error object that comes with the status of a failure is told as such', async () => {
  const { error } = await call({ method: 'x' }, { path: '/500' })
  assert.deepEqual(
    [error?.code, error?.detail],
    ['JSON_RPC_ERROR', { rpc_code: -32603, rpc_name: 'internal_error', http_status: 500 }],
  )
})

test('a status without an error object keeps its own code', async () => {
  assert.equal((await call({ method: 'x' }, { path: '/404' })).error?.code, 'HTTP_STATUS')
})

test('a service that forgets to say JSON is understood', async () => {
  assert.deepEqual((await call({ method: 'sum', params: [2, 3] }, { path: '/plain' })).value, { id: 1, result: 5 })
})

const WRONG_ANSWERS = [
  ['/html', 'not_json'],
  ['/empty', 'missing'],
  ['/list', 'batch_for_one'],
  ['/other-id', 'unknown_id'],
] as const

for (const [path, violation] of WRONG_ANSWERS) {
  test(`threat row 34: an answer that is none fails the call: ${path}`, async () => {
    // Guard: the answers, which know what was asked.
    const { value, error } = await call({ method: 'x' }, { path })
    assert.deepEqual([value, error?.code, error?.detail?.['violation']], [null, 'INVALID_RESPONSE', violation])
  })
}

test('threat row 34: an answer that says JSON and is not is told by the primitive', async () => {
  // Guard: the primitive parses within its cap.
  assert.equal((await call({ method: 'x' }, { path: '/broken' })).error?.code, 'INVALID_RESPONSE')
})

test('threat row 34: an id that is answered twice in a batch fails it', async () => {
  // Guard: the answers, which know what was answered.
  const { error } = await call({ batch: [{ method: 'x' }, { method: 'y' }] }, { path: '/twice' })
  assert.deepEqual([error?.code, error?.detail?.['violation']], ['INVALID_RESPONSE', 'duplicate_id'])
})

test('an answer that is missing in a batch is told by its id', async () => {
  const { value, error } = await call({ batch: [{ method: 'x' }, { method: 'y' }] }, { path: '/partial' })
  assert.deepEqual(error?.detail, { violation: 'missing', missing: [1] })
  assert.deepEqual(value, {
    answers: [
      { id: 1, method: 'x', missing: true },
      { id: 2, method: 'y', result: 1 },
    ],
  })
})

test('an answer over the cap of the primitive is not read', async () => {
  const { error } = await call({ method: 'x' }, { path: '/large', limits: { max_response_bytes: 1_000 } })
  assert.equal(error?.code, 'LIMIT_EXCEEDED')
})

test('a service that does not answer runs into the timeout of the call', async () => {
  assert.equal((await call({ method: 'x' }, { path: '/hang', timeout_ms: 50 })).error?.code, 'TIMEOUT')
  assert.equal(
    (await call({ method: 'x', timeout_ms: 50 }, { path: '/hang', timeouts_ms: { total: 60_000 } })).error?.code,
    'TIMEOUT',
  )
})

test('a call that is aborted ends', async () => {
  const cancel = new AbortController()
  const calling = call({ method: 'x' }, { path: '/hang' }, cancel.signal)
  server.once('request', () => cancel.abort())
  assert.equal((await calling).error?.code, 'ABORTED')
})

const WRONG_CONFIGS: readonly (readonly [RegExp, JsonObject])[] = [
  [/leave `method` out/, { method: 'GET' }],
  [/`body` is made from `rpc`/, { body: { x: 1 } }],
  [/leave `mode` out/, { mode: 'stream' }],
  [/`timeout_ms` to be a positive integer/, { timeout_ms: 'soon' }],
]

for (const [message, config] of WRONG_CONFIGS) {
  test(`a configuration that JSON-RPC has no use for is refused: ${JSON.stringify(config)}`, async () => {
    const already = received.length
    const { error } = await call({ method: 'x' }, config)
    assert.deepEqual(
      [error?.code, message.test(error?.message ?? ''), received.length],
      ['CONFIG_VALIDATION_ERROR', true, already],
    )
  })
}

test('a program is nothing that a URL has', async () => {
  assert.match((await call({ method: 'x', program: ['a'] })).error?.message ?? '', /`rpc` has no field "program"/)
})
