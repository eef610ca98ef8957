import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Client, InMemoryTransport, type CallToolResult } from '@modelcontextprotocol/client'
import { createKiwi, type Kiwi } from '../../src/compose.ts'
import { createMcpServing } from '../../src/mcp/server.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'

const DEADLINE_MS = 1000

let project: ScriptedProject
let kiwi: Kiwi
let client: Client
let threadId = ''

before(async () => {
  // One answer of about a minute: the thread is surely running while the calls below are made.
  project = await createScriptedProject(() => ({ reply: { text: 'word '.repeat(600), delay_ms: 100, piece_chars: 5 } }))
  kiwi = createKiwi({ projectPath: project.path, env: { ...project.options.env } })
  const serving = createMcpServing({
    open: async (path) => ({ kernel: kiwi.kernel(path), threads: kiwi.threads(path), redact: (value) => value }),
    projectPath: project.path,
    version: '0.0.0',
    deadlineMs: DEADLINE_MS,
  })
  const server = serving.factory({ era: 'legacy' })
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair()
  client = new Client({ name: 'kiwi-test', version: '1.0.0' })
  await Promise.all([server.connect(serverSide), client.connect(clientSide)])
  threadId = (await project.run('run', 'hello_kiwi', '--detach')).stdout.trim()
})

after(async () => {
  await project.run('cancel', threadId, '--now')
  await client.close()
  await kiwi.close()
  await project.close()
})

async function call(item_id: string, parameters: object, signal?: AbortSignal): Promise<CallToolResult> {
  const request = { name: 'execute', arguments: { item_type: 'tool', item_id, parameters } }
  return client.callTool(request, signal === undefined ? {} : { signal })
}

function isRunning(): boolean {
  return ['spawning', 'running'].includes(kiwi.threads(project.path).get(threadId).status)
}

test('a call that takes too long is answered with what to do instead, and its thread goes on', async () => {
  const { isError, structuredContent } = await call('wait_thread', { thread_id: threadId })
  assert.equal(isError, true)
  assert.match(JSON.stringify(structuredContent), /"code":"TIMEOUT".*wait_thread \{thread_id\}.*goes on/u)
  assert.ok(isRunning())
})

test('cancelling a request ends the call and not the thread that it waited for', async () => {
  const controller = new AbortController()
  const waiting = call('wait_thread', { thread_id: threadId }, controller.signal)
  controller.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/u)
  const status = await call('thread_registry', { action: 'get_status', thread_id: threadId })
  assert.match(JSON.stringify(status.structuredContent), /"status":"running"/u)
  assert.ok(isRunning())
})
