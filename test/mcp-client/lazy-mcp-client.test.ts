import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLazyMcpClient } from '../../src/mcp-client/lazy-mcp-client.ts'
import type { RpcCall } from '../../src/primitives/json-rpc/contract.ts'
import { createSandbox } from '../../src/primitives/sandbox/sandbox.ts'
import { createProcessOpener } from '../../src/primitives/subprocess/open-process.ts'
import { OPERATOR, startPeer, textOf } from './peers.ts'

const openProcess = createProcessOpener({ sandbox: createSandbox({ mode: 'bubblewrap' }), env: () => undefined })

const callOf = (url: string): RpcCall => ({
  config: { url, rpc: { protocol: 'mcp', server: 'peer', mcp_tool: 'echo' } },
  parameters: { text: 'x' },
  leaf: { id: 'peer_echo', description: '', inputSchema: null },
  context: { projectPath: '/tmp', __grant: OPERATOR },
})

test('a client that is made at its first call is one client for all calls', async (t) => {
  const client = createLazyMcpClient({ openProcess })
  const { url, calls } = await startPeer(t)
  const answers = await Promise.all([client.overHttp.call(callOf(url)), client.overHttp.call(callOf(url))])
  assert.deepEqual(answers.map(textOf), ['{"text":"x"}', '{"text":"x"}'])
  assert.deepEqual(calls, ['echo', 'echo'])
  await client.close()
  assert.equal((await client.overHttp.call(callOf(url))).error?.code, 'ABORTED')
})

test('a client that was closed before its first call calls nothing', async () => {
  const client = createLazyMcpClient({ openProcess })
  await client.close()
  assert.equal((await client.overHttp.call(callOf('http://127.0.0.1:1/'))).error?.code, 'ABORTED')
})
