import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Authorize } from '../../../src/kernel/contract.ts'
import { createHttpPrimitive } from '../../../src/primitives/http-client/http-client.ts'
import { createJsonRpcOverHttp } from '../../../src/primitives/json-rpc/over-http.ts'
import { createJsonRpcOverStdio } from '../../../src/primitives/json-rpc/over-stdio.ts'
import { withProtocols } from '../../../src/primitives/json-rpc/rpc-primitive.ts'
import type { Grant } from '../../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { createProcessOpener } from '../../../src/primitives/subprocess/open-process.ts'
import { createSubprocessPrimitive } from '../../../src/primitives/subprocess/subprocess.ts'
import { createTestProject, createTestServer, errorOf, type TestProject, type TestServer, valueOf } from '../../kernel/project.ts'
import { answerTo } from '../../primitives/json-rpc/service.ts'

const http = createHttpPrimitive()
const sandbox = createSandbox({ mode: 'bubblewrap' })
const env = (): undefined => undefined
const primitives = [
  withProtocols(http, [createJsonRpcOverHttp(http)]),
  withProtocols(createSubprocessPrimitive({ sandbox, env }), [createJsonRpcOverStdio(createProcessOpener({ sandbox, env }))]),
]
const THREAD: Grant = { id: 'g', threadId: 't', read: [], write: [], network: { kind: 'none' }, isLive: () => true }
const asThread: Authorize = async () => ({ permitted: true, grant: THREAD })
const asOperator: Authorize = async () => ({
  permitted: true,
  grant: { ...THREAD, threadId: null, write: [{ kind: 'tree', base: [] }], network: { kind: 'open' } },
})

let service: TestServer
let operator: TestProject
let thread: TestProject

before(async () => {
  service = await createTestServer((request, response) => {
    const answer = answerTo(request.body)
    if (answer === null) response.writeHead(204).end()
    else response.setHeader('content-type', 'application/json').end(answer)
  })
  operator = await createTestProject({ primitives, authorize: asOperator })
  thread = await createTestProject({ primitives, authorize: asThread })
})
after(async () => {
  await service[Symbol.asyncDispose]()
  await operator[Symbol.asyncDispose]()
  await thread[Symbol.asyncDispose]()
  http.close()
})

test('jsonrpc_http calls a method and gives its result', async () => {
  const result = await operator.execute('jsonrpc_http', {
    url: service.url,
    method: 'subtract',
    params: { minuend: 42, subtrahend: 23 },
  })
  assert.deepEqual(valueOf(result), { id: 1, result: 19 })
})

test('jsonrpc_http sends positional parameters, none, and an id of the caller', async () => {
  const sum = await operator.execute('jsonrpc_http', { url: service.url, method: 'sum', params: [1, 2, 4], id: 'mine' })
  const nothing = await operator.execute('jsonrpc_http', { url: service.url, method: 'nothing' })
  assert.deepEqual(
    [valueOf(sum), valueOf(nothing)],
    [
      { id: 'mine', result: 7 },
      { id: 1, result: null },
    ],
  )
  assert.equal(service.requests.at(-1)?.body, '{"jsonrpc":"2.0","id":1,"method":"nothing"}')
})

test('jsonrpc_http sends a notification and a batch', async () => {
  const batch = [
    { method: 'sum', params: [1] },
    { method: 'hello', notification: true },
    { method: 'get_data', id: 'd' },
  ]
  const notified = await operator.execute('jsonrpc_http', { url: service.url, method: 'update', params: [1], notification: true })
  const batched = await operator.execute('jsonrpc_http', { url: service.url, batch, headers: { 'x-own': 'yes' } })
  assert.deepEqual(valueOf(notified), { sent: 1 })
  assert.deepEqual(valueOf(batched), {
    answers: [
      { id: 1, method: 'sum', result: 1 },
      { id: 'd', method: 'get_data', result: ['hello', 5] },
    ],
  })
  assert.equal(service.requests.at(-1)?.headers['x-own'], 'yes')
})

test('jsonrpc_http tells an error object with its code, name and data', async () => {
  const error = errorOf(await operator.execute('jsonrpc_http', { url: service.url, method: 'subtract', params: [] }))
  assert.deepEqual(
    [error.code, error['rpc_code'], error['rpc_name'], error['data']],
    ['JSON_RPC_ERROR', -32602, 'invalid_params', { expected: 'numbers' }],
  )
  assert.match(error.suggestion ?? '', /names, order and types/)
})

test('jsonrpc_http keeps the codes of its transport', async () => {
  const error = errorOf(await operator.execute('jsonrpc_http', { url: 'http://127.0.0.1:1/', method: 'x' }))
  assert.equal(error.cause?.code, 'CONNECTION_REFUSED')
})

test('jsonrpc_http says which parameter is wrong', async () => {
  assert.match(
    errorOf(await operator.execute('jsonrpc_http', { url: service.url, method: 'x', params: 'text' })).message,
    /params/,
  )
  assert.match(
    errorOf(await operator.execute('jsonrpc_http', { url: service.url })).message,
    /`rpc\.method` to be the name of a method/,
  )
})

test('a tool file over http_client fixes the service and takes parameters of its own', async () => {
  await operator.item(
    'tools/chain/difference.yaml',
    `tool_id: difference
tool_type: http
version: "1.0.0"
executor_id: http_client
category: chain
description: Subtracts.
parameters:
  - { name: from, type: integer, required: true }
  - { name: by, type: integer, required: true }
config:
  url: "${service.url}"
  rpc: { protocol: json_rpc, method: subtract, params: { minuend: "{from}", subtrahend: "{by}" }, id: one }
`,
  )
  assert.deepEqual(valueOf(await operator.execute('difference', { from: 10, by: 4 })), { id: 'one', result: 6 })
})

/** Answers each line with what it got under the same id; a request only. */
const ECHO = `while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\\([0-9]*\\).*/\\1/p')
  echo '{"jsonrpc":"2.0","method":"log","params":["got it"]}'
  [ -z "$id" ] || printf '{"jsonrpc":"2.0","id":%s,"result":%s}\\n' "$id" "$line"
done`

test('jsonrpc_stdio starts a program, calls it and tells what it said on the way', async () => {
  const result = await operator.execute('jsonrpc_stdio', {
    command: 'sh',
    args: ['-c', ECHO],
    method: 'echo',
    params: { a: [1, null] },
  })
  assert.deepEqual(valueOf(result), {
    id: 1,
    result: { jsonrpc: '2.0', id: 1, method: 'echo', params: { a: [1, null] } },
    notifications: [{ method: 'log', params: ['got it'] }],
  })
  assert.equal(result['sandbox'], 'bubblewrap')
})

test('jsonrpc_stdio sends a notification', async () => {
  const result = await operator.execute('jsonrpc_stdio', {
    command: 'sh',
    args: ['-c', ECHO],
    method: 'hello',
    notification: true,
  })
  assert.deepEqual((valueOf(result) as { readonly sent: number }).sent, 1)
})

test('jsonrpc_stdio gives the program its variables and folder, and the limits of its caller', async () => {
  const script = `read -r line; printf '{"jsonrpc":"2.0","id":1,"result":"%s %s %s"}\\n' "$GIVEN" "$(pwd)" "$(ls | wc -l)"`
  const result = await thread.execute('jsonrpc_stdio', {
    command: 'sh',
    args: ['-c', script],
    env: { GIVEN: 'yes' },
    method: 'x',
  })
  assert.deepEqual(valueOf(result), { id: 1, result: 'yes /project 0' })
})

test('jsonrpc_stdio tells a program that ends, and one that does not answer', async () => {
  const ended = errorOf(await operator.execute('jsonrpc_stdio', { command: 'false', method: 'x' }))
  const silent = errorOf(await operator.execute('jsonrpc_stdio', { command: 'sleep', args: [100], method: 'x', timeout_ms: 200 }))
  assert.deepEqual([ended.cause?.code, ended['exit_code'], silent.cause?.code], ['PROCESS_FAILED', 1, 'TIMEOUT'])
})

test('a thread calls jsonrpc_stdio, and cannot say `rpc` to the primitive itself', async () => {
  const rpc = { protocol: 'json_rpc', method: 'x', program: ['.ai'] }
  const error = errorOf(await thread.execute('subprocess', { command: 'sh', args: ['-c', ECHO], rpc }))
  assert.match(error.message, /A thread cannot say `rpc` itself/)
  const allowed = await operator.execute('subprocess', {
    command: 'sh',
    args: ['-c', ECHO],
    rpc: { protocol: 'json_rpc', method: 'x' },
  })
  assert.equal((valueOf(allowed) as { readonly id: number }).id, 1)
})

test('a signed tool file shows a program to a thread that may read nothing', async () => {
  await thread.write('servers/one.sh', `echo '{"jsonrpc":"2.0","id":1,"result":"shown"}'\n`)
  await thread.item(
    'tools/chain/shown.yaml',
    `tool_id: shown
tool_type: shell
version: "1.0.0"
executor_id: jsonrpc_stdio
category: chain
description: Asks a program of the project.
config:
  command: sh
  args: [servers/one.sh]
  env: {}
  cwd: "."
  timeout_ms: 10000
  rpc: { method: ask, params: null, id: null, notification: false, batch: null, program: [servers] }
`,
  )
  assert.deepEqual(valueOf(await thread.execute('shown')), { id: 1, result: 'shown' })
})

test('what the tools require is what they do', async () => {
  const asked: unknown[] = []
  const authorize: Authorize = async (call) => {
    asked.push(...call.requires)
    return { permitted: true, grant: THREAD }
  }
  await using project = await createTestProject({ primitives, authorize })
  await project.execute('jsonrpc_stdio', { command: 'true', method: 'x' })
  await project.execute('jsonrpc_http', { url: service.url, method: 'x' })
  assert.match(JSON.stringify(asked), /process\.exec.*net\.http/)
})
