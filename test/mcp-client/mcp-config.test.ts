import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../src/json.ts'
import { McpFailure } from '../../src/mcp-client/contract.ts'
import { readMcpConfig } from '../../src/mcp-client/mcp-config.ts'

const URL_ = { url: 'https://h/mcp' }
const LIST = { protocol: 'mcp', server: 'peer', method: 'tools/list' }
const HASH = `sha256:${'a'.repeat(64)}`

function refusal(config: JsonObject, kind: 'http' | 'stdio' = 'http'): McpFailure {
  try {
    readMcpConfig(config, kind)
  } catch (error) {
    assert.ok(error instanceof McpFailure, String(error))
    assert.equal(error.code, 'CONFIG_VALIDATION_ERROR')
    return error
  }
  throw new assert.AssertionError({ message: 'expected a refusal' })
}

test('a call over HTTP has every default in place', () => {
  assert.deepEqual(readMcpConfig({ ...URL_, rpc: LIST }, 'http'), {
    server: 'peer',
    target: { kind: 'http', url: 'https://h/mcp', headers: {}, auth: null },
    era: undefined,
    request: { kind: 'method', method: 'tools/list', params: undefined },
    connectTimeoutMs: 30_000,
    timeoutMs: 60_000,
    maxMessageBytes: 10_485_760,
    maxConcurrency: 4,
    idleMs: 60_000,
    retry: { maxAttempts: 1, backoffMs: [500, 1000, 2000, 4000, 8000], retriesConnections: true },
  })
})

test('what a generated tool fixes is read, and null is as good as absent', () => {
  const rpc = {
    protocol: 'mcp',
    server: 'peer',
    era: null,
    auth: null,
    program: ['node_modules'],
    method: 'tools/call',
    params: null,
  }
  const read = readMcpConfig(
    { command: 'node', args: ['x'], env: {}, cwd: '', timeout_ms: 5_000, rpc: { ...rpc, mcp_tool: 'echo', upstream_hash: HASH } },
    'stdio',
  )
  assert.deepEqual(read.request, { kind: 'tool', name: 'echo', pinnedHash: HASH })
  assert.deepEqual(read.target, {
    kind: 'stdio',
    process: { command: 'node', args: ['x'], env: {}, cwd: '' },
    program: ['node_modules'],
  })
  assert.deepEqual([read.timeoutMs, read.era], [5_000, undefined])
})

test('headers are named in lower case, and those without a value are left out', () => {
  const auth = { type: 'header', name: 'X-Key', value: 'v' }
  const { target } = readMcpConfig({ ...URL_, headers: { 'X-Team': 'blue', N: 1, gone: null }, rpc: { ...LIST, auth } }, 'http')
  assert.deepEqual(target, { kind: 'http', url: 'https://h/mcp', headers: { 'x-team': 'blue', n: '1' }, auth })
})

const WRONG: readonly (readonly [string, JsonObject, RegExp])[] = [
  ['an unknown field of rpc', { ...LIST, mehtod: 'x' }, /rpc\.mehtod is unknown/],
  ['no server', { protocol: 'mcp', method: 'ping' }, /rpc\.server must be the name/],
  ['a server with capitals', { ...LIST, server: 'Peer' }, /rpc\.server/],
  ['a server that climbs', { ...LIST, server: '../x' }, /rpc\.server/],
  ['a server with a control character', { ...LIST, server: 'a\u001b[2J' }, /rpc\.server/],
  ['no method', { protocol: 'mcp', server: 'peer' }, /rpc\.method must be one of/],
  ['a method that has no answer', { ...LIST, method: 'resources/subscribe' }, /rpc\.method must be one of/],
  ['parameters that are a list', { ...LIST, method: 'prompts/get', params: ['a'] }, /rpc\.params must be an object/],
  ['a page of the list of tools', { ...LIST, params: { cursor: 'x' } }, /all pages/],
  ['a hash without a tool', { ...LIST, upstream_hash: HASH }, /goes with mcp_tool/],
  ['a hash that is none', { protocol: 'mcp', server: 'peer', mcp_tool: 'x', upstream_hash: 'sha256:1' }, /64 hex digits/],
  ['a method beside a tool', { ...LIST, mcp_tool: 'x' }, /tools\/call, or absent/],
  ['parameters beside a tool', { protocol: 'mcp', server: 'peer', mcp_tool: 'x', params: {} }, /params must be absent/],
  ['a program behind a URL', { ...LIST, program: ['x'] }, /rpc\.program/],
  ['a timeout of nothing', { ...LIST, timeout_ms: 0 }, /rpc\.timeout_ms/],
  ['an era of its own', { ...LIST, era: 'new' }, /rpc\.era/],
  [
    'a token with a line end',
    { ...LIST, auth: { type: 'bearer', token: 'a\r\nX: y' } },
    /rpc\.auth\.token must be text of visible/,
  ],
  ['an empty token', { ...LIST, auth: { type: 'bearer', token: '' } }, /rpc\.auth\.token/],
  ['another kind of credentials', { ...LIST, auth: { type: 'basic' } }, /rpc\.auth\.type/],
  ['a field beside the token', { ...LIST, auth: { type: 'bearer', token: 'a', realm: 'b' } }, /rpc\.auth\.realm is unknown/],
  [
    'credentials in a header of the protocol',
    { ...LIST, auth: { type: 'header', name: 'Host', value: 'x' } },
    /belongs to the protocol/,
  ],
]
for (const [what, rpc, message] of WRONG) {
  test(`${what} is refused by the name of its field`, () => assert.match(refusal({ ...URL_, rpc }).message, message))
}

const WRONG_HEADERS: readonly (readonly [string, JsonObject, RegExp])[] = [
  ['a line end', { a: 'x\r\nb: y' }, /headers\.a must not hold control/],
  ['what latin1 would cut to a line feed', { a: 'x\u010Ay' }, /latin1/],
  ['a name with a line end', { 'a\r\nb': 'x' }, /is not a header name/],
  ['a header of the protocol', { 'Mcp-Session-Id': 'x' }, /belongs to the protocol/],
  ['the same name twice', { A: 'x', a: 'y' }, /headers\.a is given twice/],
  ['an object', { a: { b: 'c' } }, /must be text/],
]
for (const [what, headers, message] of WRONG_HEADERS) {
  test(`threat row 15: ${what} is refused in the headers of a server`, () => {
    assert.match(refusal({ ...URL_, headers, rpc: LIST }).message, message)
  })
}

test('credentials that stand in both places are refused', () => {
  const config = { ...URL_, headers: { Authorization: 'x' }, rpc: { ...LIST, auth: { type: 'bearer', token: 'secret-token' } } }
  const { message, detail } = refusal(config)
  assert.match(message, /headers\.Authorization is given twice/)
  assert.doesNotMatch(`${message}${JSON.stringify(detail)}`, /secret-token/)
})

for (const url of ['file:///etc/passwd', 'https://user:word@h/', 'h/mcp', 'ws://h/', 7]) {
  test(`${JSON.stringify(url)} is no URL of a server`, () => {
    assert.match(refusal({ url, rpc: LIST }).message, /url must be an http or https URL/)
  })
}

test('fields of the primitive that would say nothing to a server are refused', () => {
  assert.match(refusal({ ...URL_, body: {}, path: '/x', rpc: LIST }).message, /path says nothing.*body says nothing/)
  assert.match(refusal({ command: 'x', stdin: 'y', rpc: LIST }, 'stdio').message, /stdin says nothing/)
  assert.match(refusal({ command: 'x', rpc: { ...LIST, auth: { type: 'bearer', token: 'a' } } }, 'stdio').message, /rpc\.auth/)
})

test('everything that is wrong is told at once', () => {
  const { detail } = refusal({ url: 'x', rpc: { protocol: 'mcp', server: 'A', method: 'b' } })
  const fields = (detail['validation_errors'] as readonly { readonly field: string }[]).map(({ field }) => field)
  assert.deepEqual(fields, ['rpc.server', 'url', 'rpc.method'])
})
