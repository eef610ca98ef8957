import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Client, ProtocolError, type CallToolResult } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { BIN, finished, startKiwi } from '../cli/kiwi-process.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'

const ERAS = { legacy: { mode: 'legacy' }, modern: { mode: { pin: '2026-07-28' } } } as const
const TOOLS = ['search', 'load', 'execute', 'sign', 'help']
const MAX_SCHEMA_BYTES = 8192

let project: ScriptedProject

before(async () => {
  project = await createScriptedProject()
})
after(() => project.close())

interface Session {
  readonly client: Client
  call(name: string, args: Record<string, unknown>): Promise<Record<string, unknown> & { readonly isError: boolean }>
}

async function connect(era: keyof typeof ERAS): Promise<Session> {
  const client = new Client({ name: 'kiwi-test', version: '1.0.0' }, { versionNegotiation: ERAS[era] })
  const { cwd, env = {} } = project.options
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [BIN, 'mcp'], cwd, env, stderr: 'ignore' }))
  return {
    client,
    async call(name, args) {
      const result: CallToolResult = await client.callTool({ name, arguments: args })
      return { ...(result.structuredContent as Record<string, unknown>), isError: result.isError === true }
    },
  }
}

for (const era of ['legacy', 'modern'] as const) {
  describe(`over stdio in the ${era} era`, () => {
    let session: Session

    before(async () => {
      session = await connect(era)
    })
    after(() => session.client.close())

    test('the five meta-tools are listed in at most 8 KB, with honest annotations', async () => {
      const { tools } = await session.client.listTools()
      assert.deepEqual(
        tools.map(({ name }) => name),
        TOOLS,
      )
      assert.ok(Buffer.byteLength(JSON.stringify(tools)) <= MAX_SCHEMA_BYTES)
      assert.deepEqual(
        tools.filter(({ annotations }) => annotations?.readOnlyHint === true).map(({ name }) => name),
        ['search', 'help'],
      )
      assert.equal(tools.find(({ name }) => name === 'sign')?.annotations?.destructiveHint, true)
    })

    test('each meta-tool answers with text and the same structured content', async () => {
      const raw = await session.client.callTool({ name: 'search', arguments: { query: 'count words' } })
      const [content] = raw.content
      assert.equal(content?.type === 'text' ? content.text : null, JSON.stringify(raw.structuredContent))
      assert.match(JSON.stringify(raw.structuredContent), /"id":"count_words"/u)
      const loaded = await session.call('load', { item_type: 'tool', item_id: 'count_words' })
      assert.deepEqual([loaded.isError, loaded['item_id'], loaded['integrity']], [false, 'count_words', 'signed'])
      const executed = await session.call('execute', { item_type: 'tool', item_id: 'count_words', parameters: { text: 'a b' } })
      assert.deepEqual(executed['result'], { words: 2, characters: 3, lines: 1 })
      const signed = await session.call('sign', { item_type: 'tool', item_id: 'count_words' })
      assert.equal(signed.isError, false)
      const help = await session.call('help', { topic: 'threads' })
      assert.match(String(help['content']), /thread/u)
    })

    test('bad arguments are a result that names the field, not a protocol error', async () => {
      const missing = await session.call('load', { item_type: 'tool' })
      assert.equal(missing.isError, true)
      assert.match(JSON.stringify(missing['error']), /"code":"INVALID_REQUEST".*item_id/u)
      const unknown = await session.call('search', { querry: 'x' })
      assert.match(JSON.stringify(unknown['error']), /querry/u)
      const reserved = await session.call('execute', { item_type: 'tool', item_id: 'count_words', parameters: { __auth: 'x' } })
      assert.match(JSON.stringify(reserved['error']), /__auth/u)
    })

    test('a tool that does not exist is a protocol error, and the server goes on', async () => {
      await assert.rejects(
        session.client.callTool({ name: 'nope', arguments: {} }),
        (error: unknown) => ProtocolError.isInstance(error) && error.code === -32_602,
      )
      assert.equal((await session.call('help', {})).isError, false)
    })

    test('a failure of an item is a result with the error envelope', async () => {
      const failed = await session.call('execute', { item_type: 'tool', item_id: 'no_such_tool' })
      assert.equal(failed.isError, true)
      assert.match(JSON.stringify(failed['error']), /ITEM_NOT_FOUND/u)
    })

    test('a project path must be an existing absolute folder', async () => {
      for (const project_path of ['relative', join(project.path, 'missing')]) {
        const refused = await session.call('search', { query: 'x', project_path })
        assert.match(JSON.stringify(refused['error']), /project_path/u)
      }
      const other = await session.call('search', { query: 'count_words', project_path: join(project.path, '.ai') })
      assert.equal(other.isError, false)
      assert.doesNotMatch(JSON.stringify(other['results']), /"id":"count_words"/u)
    })

    test('a spawned thread outlives the call and wait_thread brings its result', async () => {
      const spawned = await session.call('execute', {
        item_type: 'tool',
        item_id: 'thread_directive',
        parameters: { directive_name: 'hello_kiwi', inputs: { text: 'a b c' } },
      })
      const { thread_id } = spawned['result'] as { thread_id: string }
      const waited = await session.call('execute', { item_type: 'tool', item_id: 'wait_thread', parameters: { thread_id } })
      assert.match(JSON.stringify(waited), /Scripted answer/u)
    })
  })
}

for (const era of ['legacy', 'modern'] as const) {
  test(`a client that listens over stdio is told of new threads and of what happens to one, in the ${era} era`, async () => {
    const session = await connect(era)
    const { client } = session
    const uri = `thread://listened_${era}`
    const [listed, updated] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()]
    client.setNotificationHandler('notifications/resources/list_changed', () => listed.resolve())
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => updated.resolve(params.uri))
    if (era === 'legacy') await client.listResources()
    else await client.listen({ resourcesListChanged: true, resourceSubscriptions: [uri] })
    const parameters = { thread_id: `listened_${era}`, directive_name: 'hello_kiwi' }
    const spawned = await session.call('execute', { item_type: 'tool', item_id: 'spawn_thread', parameters })
    assert.equal(spawned.isError, false)
    if (era === 'legacy') await client.subscribeResource({ uri })
    await listed.promise
    assert.equal(await updated.promise, uri)
    await client.close()
  })
}

test('the server ends by itself, with code 0, when stdin does', async () => {
  const idle = startKiwi(['mcp'], project.options)
  idle.stdin.end()
  assert.deepEqual(await finished(idle), { code: 0, stdout: '', stderr: '' })
})

test('the server ends when stdin does after it has opened kernels and registries', async () => {
  const server = startKiwi(['mcp'], project.options)
  const lines = server.stdout.setEncoding('utf8')[Symbol.asyncIterator]()
  const say = (message: object): void => void server.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  const clientInfo = { name: 'raw', version: '1' }
  say({ id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo } })
  assert.match(String((await lines.next()).value), /"protocolVersion":"2025-06-18"/u)
  say({ method: 'notifications/initialized' })
  const args = { item_type: 'tool', item_id: 'thread_registry', parameters: { action: 'query' } }
  say({ id: 2, method: 'tools/call', params: { name: 'execute', arguments: args } })
  assert.match(String((await lines.next()).value), /"id":2/u)
  server.stdin.end()
  const { code, stderr } = await finished(server)
  assert.deepEqual([code, stderr], [0, ''])
})
