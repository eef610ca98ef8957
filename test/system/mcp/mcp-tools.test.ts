import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Grants } from '../../../src/capabilities/contract.ts'
import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import type { MetaToolResult } from '../../../src/kernel/contract.ts'
import { createMcpClient } from '../../../src/mcp-client/mcp-client.ts'
import { createHttpPrimitive } from '../../../src/primitives/http-client/http-client.ts'
import { withProtocols } from '../../../src/primitives/json-rpc/rpc-primitive.ts'
import { createRuntimePrimitive } from '../../../src/primitives/runtime/runtime.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { createProcessOpener } from '../../../src/primitives/subprocess/open-process.ts'
import { createSubprocessPrimitive } from '../../../src/primitives/subprocess/subprocess.ts'
import { CALLER, openPost } from '../../capabilities/gate/fixture.ts'
import { createTestProject, errorOf, type TestProject, valueOf } from '../../kernel/project.ts'
import { hostileServerText, startPeer } from '../../mcp-client/peers.ts'

interface Speaking {
  readonly project: TestProject
  /** As the operator. */
  readonly execute: (toolId: string, parameters: JsonObject) => Promise<MetaToolResult>
  /** As a thread that holds these besides `kiwi-mcp.execute`. */
  readonly asThread: (capabilities: Grants['capabilities'], toolId: string, parameters: JsonObject) => Promise<MetaToolResult>
}

/** A project whose kernel speaks MCP, behind the real gate. */
async function speakingProject(t: TestContext): Promise<Speaking> {
  const sandbox = createSandbox({ mode: 'bubblewrap' })
  const env = (): undefined => undefined
  const client = createMcpClient({ openProcess: createProcessOpener({ sandbox, env }) })
  const http = createHttpPrimitive()
  const runtime = createRuntimePrimitive({ sandbox })
  const gates = new Map<string, Awaited<ReturnType<typeof openPost>>>()
  const operator = await openPost(t, CALLER)
  const project = await createTestProject({
    authorize: async (question) =>
      await (gates.get(String(question.context.__directive_id)) ?? operator).gate.authorize(question),
    primitives: [
      withProtocols(http, [client.overHttp]),
      withProtocols(createSubprocessPrimitive({ sandbox, env }), [client.overStdio]),
      runtime,
    ],
  })
  t.after(async () => {
    await client.close()
    http.close()
    await runtime.close()
    await project[Symbol.asyncDispose]()
  })
  const execute = async (
    toolId: string,
    parameters: JsonObject,
    context: Partial<ExecutionContext> = {},
  ): Promise<MetaToolResult> =>
    await project.kernel.execute(
      { item_type: 'tool', item_id: toolId, parameters },
      { projectPath: project.root, services: { kiwi: { kernel: project.kernel } }, ...context },
    )
  return {
    project,
    execute: async (toolId, parameters) => await execute(toolId, parameters),
    async asThread(capabilities, toolId, parameters) {
      const post = await openPost(t, { 'kiwi-mcp.execute': true, ...capabilities })
      const name = `gate-${gates.size}`
      gates.set(name, post)
      // The directive's name tells the gates of the tests apart; the gates do not read it.
      return await execute(toolId, parameters, { ...(await post.context()), projectPath: project.root, __directive_id: name })
    },
  }
}

const listOf = (result: MetaToolResult): readonly string[] =>
  (valueOf(result) as { readonly tools: readonly { readonly name: string }[] }).tools.map(({ name }) => name)

const textOf = (result: MetaToolResult): string =>
  (valueOf(result) as { readonly content: readonly { readonly text: string }[] }).content[0]?.text ?? ''

const missingOf = (result: MetaToolResult): unknown => {
  const { code, missing } = errorOf(result)
  assert.equal(code, 'PERMISSION_DENIED')
  return missing
}

const TOOLS = ['echo', 'fail', 'wait']
const STDIO = { server: 'local', command: 'node', args: ['hostile-server.mjs', 'good'] }

test('a server over HTTP is asked with what is given, and what is absent is left out', async (t) => {
  const { execute } = await speakingProject(t)
  const peer = await startPeer(t)
  const call = { server: 'peer', url: peer.url }
  assert.deepEqual(listOf(await execute('mcp_http', { ...call, rpc_method: 'tools/list' })), TOOLS)
  const echoed = await execute('mcp_http', {
    ...call,
    rpc_method: 'tools/call',
    rpc_params: { name: 'echo', arguments: { text: 'x' } },
  })
  assert.equal(textOf(echoed), '{"text":"x"}')
  await execute('mcp_http', {
    ...call,
    auth: { type: 'bearer', token: 'open-sesame' },
    headers: { 'X-Team': 'blue', 'X-Number': 1 },
    rpc_method: 'ping',
  })
  const { authorization, 'x-team': team, 'x-number': number } = peer.headers.at(-1) ?? {}
  assert.deepEqual([authorization, team, number], ['Bearer open-sesame', 'blue', '1'])
})

for (const [what, wrong, message] of [
  ['a URL of another kind', { url: 'file:///etc/passwd' }, /whole URL/],
  ['a header with a line end', { headers: { a: 'b\r\nc: d' } }, /control characters/],
  ['a token with a line end', { auth: { type: 'bearer', token: 'b\r\nc: d' } }, /rpc\.auth\.token/],
  ['a server name that is none', { server: '../peer' }, /rpc\.server/],
] as const) {
  test(`${what} is refused before anything is sent`, async (t) => {
    const { execute } = await speakingProject(t)
    const peer = await startPeer(t)
    const result = await execute('mcp_http', { server: 'peer', url: peer.url, rpc_method: 'ping', ...wrong })
    assert.equal(errorOf(result).code, 'TOOL_CHAIN_FAILED')
    assert.match(errorOf(result).message, message)
    assert.equal(peer.headers.length, 0)
  })
}

test('a method that is not offered and a field that is not known are errors of the parameters', async (t) => {
  const { execute } = await speakingProject(t)
  for (const wrong of [
    { rpc_method: 'logging/setLevel' },
    { rpc_method: 'ping', program: ['x'] },
    { rpc_method: 'ping', rpc: {} },
  ]) {
    // oxlint-disable-next-line no-await-in-loop
    const result = await execute('mcp_http', { server: 'peer', url: 'http://127.0.0.1:1/', ...wrong })
    assert.equal(errorOf(result).code, 'PARAMETER_VALIDATION_ERROR')
  }
})

test('a thread asks a server over HTTP with the permission for the tool, the server and the host, and without any one of them not', async (t) => {
  const { asThread } = await speakingProject(t)
  const peer = await startPeer(t)
  const host = `127.0.0.1:${peer.port}`
  const all = { 'tool.execute': ['mcp_http'], 'mcp.connect': ['peer'], 'net.http': [host] }
  const parameters = { server: 'peer', url: peer.url, rpc_method: 'tools/list' }
  const missing = async (change: Grants['capabilities']): Promise<unknown> =>
    missingOf(await asThread({ ...all, ...change }, 'mcp_http', parameters))
  assert.deepEqual(listOf(await asThread(all, 'mcp_http', parameters)), TOOLS)
  assert.deepEqual(await missing({ 'tool.execute': [] }), ['tool.execute "mcp_http"'])
  assert.deepEqual(await missing({ 'mcp.connect': ['other'] }), ['mcp.connect "peer"'])
  assert.deepEqual(await missing({ 'net.http': ['example.com'] }), [`net.http "${host}"`])
})

test('a thread asks a server that is started with the permission to run commands, and without it not', async (t) => {
  const { asThread, project } = await speakingProject(t)
  await project.write('hostile-server.mjs', await hostileServerText())
  const all = {
    'tool.execute': ['mcp_stdio'],
    'mcp.connect': ['local'],
    'process.exec': true,
    'fs.read': ['hostile-server.mjs'],
  } as const
  const parameters = { ...STDIO, method: 'tools/list' }
  const result = await asThread(all, 'mcp_stdio', parameters)
  assert.deepEqual(listOf(result), ['echo', 'fault'])
  assert.equal(result['sandbox' as keyof MetaToolResult], 'bubblewrap')
  const { 'process.exec': _exec, ...others } = all
  assert.deepEqual(missingOf(await asThread(others, 'mcp_stdio', parameters)), ['process.exec'])
  assert.deepEqual(missingOf(await asThread({ ...all, 'mcp.connect': [] }, 'mcp_stdio', parameters)), ['mcp.connect "local"'])
})

/** As a connector writes them: every field of the executor is fixed. */
const pinnedTool = (url: string, more = ''): string => `tool_id: peer_echo
tool_type: mcp_tool
version: 1.0.0
executor_id: mcp_http
description: Says it again.
requires: [mcp.peer]
input_schema:
  type: object
  properties: { server: { type: string }, url: { type: string }, headers: { type: string }, rpc_params: { type: string }, text: { type: string } }
config:
  url: ${url}
  headers: {}
  rpc: { protocol: mcp, server: peer, era: auto, auth: null, method: tools/call, params: null, mcp_tool: echo${more} }
`

test('a tool file over a server gives it the parameters as arguments, whatever they are called', async (t) => {
  const { execute, project } = await speakingProject(t)
  const peer = await startPeer(t)
  await project.item('tools/peer_echo.yaml', pinnedTool(peer.url))
  const parameters = { server: 'other', url: 'http://evil.example/', headers: 'a', rpc_params: 'b', text: '{server}${HOME}' }
  assert.deepEqual(JSON.parse(textOf(await execute('peer_echo', parameters))), parameters)
})

test('a thread needs the permission for the server that a tool file names, not for the one that its parameters name', async (t) => {
  const { asThread, project } = await speakingProject(t)
  const peer = await startPeer(t)
  await project.item('tools/peer_echo.yaml', pinnedTool(peer.url).replace('requires: [mcp.peer]\n', ''))
  const all = { 'tool.execute': ['peer_echo'], 'net.http': [`127.0.0.1:${peer.port}`] }
  const other = await asThread({ ...all, 'mcp.connect': ['other'] }, 'peer_echo', { server: 'other' })
  assert.deepEqual(missingOf(other), ['mcp.connect "peer"'])
  assert.equal(textOf(await asThread({ ...all, 'mcp.connect': ['peer'] }, 'peer_echo', { server: 'x' })), '{"server":"x"}')
  assert.deepEqual(peer.calls, ['echo'])
})

test('a tool whose definition is another than the pinned one is not called, and its caller learns how to go on', async (t) => {
  const { execute, project } = await speakingProject(t)
  const peer = await startPeer(t)
  await project.item('tools/peer_echo.yaml', pinnedTool(peer.url, `, upstream_hash: "sha256:${'0'.repeat(64)}"`))
  const { code, suggestion, server, tool, diff } = errorOf(await execute('peer_echo', { text: 'x' }))
  assert.deepEqual([code, server, tool, typeof diff], ['MCP_TOOL_CHANGED', 'peer', 'echo', 'string'])
  assert.match(String(suggestion), /kiwi connect diff peer`/)
  assert.deepEqual(peer.calls, [])
})

test('a tool file takes the credentials of its server from the environment', async (t) => {
  const { execute, project } = await speakingProject(t)
  const peer = await startPeer(t)
  project.env.set('PEER_TOKEN', 'of-the-environment')
  await project.item(
    'tools/peer_echo.yaml',
    pinnedTool(peer.url).replace('auth: null', 'auth: { type: bearer, token: "${PEER_TOKEN}" }'),
  )
  textOf(await execute('peer_echo', {}))
  assert.equal(peer.headers.at(-1)?.['authorization'], 'Bearer of-the-environment')
})

test('a tool file over a server that is started says what the server consists of and how often it is tried', async (t) => {
  const { asThread, project } = await speakingProject(t)
  await project.write('hostile-server.mjs', await hostileServerText())
  const file = `tool_id: local_echo
tool_type: mcp_tool
version: 1.0.0
executor_id: mcp_stdio
description: Says it again.
retry: { max_attempts: 2, backoff_ms: [10] }
input_schema: { type: object }
config:
  command: node
  args: [hostile-server.mjs, good]
  env: {}
  cwd: ''
  rpc: { protocol: mcp, server: local, era: legacy, program: [hostile-server.mjs], method: tools/call, params: null, mcp_tool: echo }
`
  await project.item('tools/local_echo.yaml', file)
  // Without a permission to read a file: the server is shown its own program, and nothing else.
  const all = { 'tool.execute': ['local_echo'], 'mcp.connect': ['local'], 'process.exec': true } as const
  assert.equal(textOf(await asThread(all, 'local_echo', { env: 'x', cwd: '/' })), '{"env":"x","cwd":"/"}')
})

test('discovery lists the tools of a server, made safe to read, with the hash of each', async (t) => {
  const { execute } = await speakingProject(t)
  const peer = await startPeer(t)
  peer.describe('Says it \u202Eagain\u001B[2J.')
  const { server, tools } = valueOf(await execute('mcp_discover', { server: 'peer', url: peer.url })) as {
    readonly server: string
    readonly tools: readonly {
      readonly name: string
      readonly description: string
      readonly upstream_hash: string
      readonly input_schema: JsonObject
    }[]
  }
  const [echo] = tools
  assert.deepEqual([server, tools.map(({ name }) => name)], ['peer', TOOLS])
  assert.equal(echo?.description, 'Says it [U+202E]again[U+001B][2J.')
  assert.match(echo?.upstream_hash ?? '', /^sha256:[0-9a-f]{64}$/)
  assert.equal(echo?.input_schema['type'], 'object')
})

test('discovery lists the tools of a server that is started', async (t) => {
  const { execute, project } = await speakingProject(t)
  await project.write('hostile-server.mjs', await hostileServerText())
  assert.deepEqual(listOf(await execute('mcp_discover', STDIO)), ['echo', 'fault'])
})

test('discovery takes a URL or a command, and what belongs to it', async (t) => {
  const { execute } = await speakingProject(t)
  for (const wrong of [{}, { url: 'http://h/', command: 'x' }, { url: 'http://h/', args: [] }, { command: 'x', auth: {} }]) {
    // oxlint-disable-next-line no-await-in-loop
    assert.equal(errorOf(await execute('mcp_discover', { server: 'peer', ...wrong })).code, 'PARAMETER_VALIDATION_ERROR')
  }
})

test('a thread discovers a server with every permission that the call takes, and is told what the call lacks', async (t) => {
  const { asThread } = await speakingProject(t)
  const peer = await startPeer(t)
  const parameters = { server: 'peer', url: peer.url }
  const all = { 'tool.execute': ['mcp_discover', 'mcp_http'], 'mcp.connect': ['peer'], 'net.http': [`127.0.0.1:${peer.port}`] }
  assert.deepEqual(listOf(await asThread(all, 'mcp_discover', parameters)), TOOLS)
  assert.deepEqual(missingOf(await asThread({ ...all, 'mcp.connect': [] }, 'mcp_discover', parameters)), ['mcp.connect "peer"'])
  assert.deepEqual(missingOf(await asThread({ ...all, 'tool.execute': ['mcp_discover'] }, 'mcp_discover', parameters)), [
    'tool.execute "mcp_http"',
  ])
})

test('a server that is not there is told with its endpoint, the cause and what to do', async (t) => {
  const { execute } = await speakingProject(t)
  const result = await execute('mcp_http', { server: 'peer', url: 'http://127.0.0.1:1/mcp', rpc_method: 'ping' })
  const { code, cause, endpoint, remediation, retryable } = errorOf(result)
  assert.deepEqual(
    [code, cause?.code, endpoint, typeof remediation, retryable],
    ['MCP_CONNECTION_FAILED', 'CONNECTION_REFUSED', 'http://127.0.0.1:1/mcp', 'string', true],
  )
})
