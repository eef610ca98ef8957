import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { errorOf, valueOf } from '../kernel/project.ts'
import { createConnectedProject, npmServer, outcomes, overwrite } from './connected-project.ts'

const whats = (changes: readonly { readonly what: string }[]): readonly string[] => [...new Set(changes.map(({ what }) => what))]

test('the tools of server-memory become signed files that run', async (t) => {
  const project = await createConnectedProject(t)
  const config = { ...npmServer(project, 'memory'), env: { MEMORY_FILE_PATH: '/tmp/memory.jsonl' } }
  const id = await project.connector('memory', config)
  const created = await project.run(id)
  assert.ok(outcomes(created).includes('read_graph created'))
  assert.deepEqual([whats(created), whats(await project.run(id))], [['created'], ['unchanged']])
  const entities = [{ name: 'kiwi', entityType: 'fruit', observations: ['green'] }]
  const added = valueOf(await project.execute('memory_create_entities', { entities }))
  assert.match(JSON.stringify(added), /kiwi/)
  assert.match(JSON.stringify(valueOf(await project.execute('memory_read_graph'))), /green/)
  const refused = errorOf(await project.execute('memory_create_entities', { entities: 'none' }))
  assert.equal(refused.code, 'PARAMETER_VALIDATION_ERROR')
})

test('the tools of server-filesystem read the project, and are searched for by what they do', async (t) => {
  const project = await createConnectedProject(t)
  await overwrite(project, 'notes/today.txt', 'remember the kiwis')
  const config = {
    ...npmServer(project, 'filesystem', ['notes']),
    capabilities: { 'write_*': ['fs.write'] },
    tools: ['read_*', 'list_*'],
  }
  const id = await project.connector('files', config)
  const { changes, warnings } = await project.connectors.run(id, { projectPath: project.root })
  assert.deepEqual(whats(changes), ['created'])
  assert.deepEqual(
    warnings.filter((warning) => warning.startsWith('config.')),
    [],
  )
  const read = valueOf(await project.execute('files_read_text_file', { path: 'today.txt' }))
  assert.match(JSON.stringify(read), /remember the kiwis/)
  const found = await project.kernel.search({ query: 'list directory tree', item_type: 'tool', limit: 20 })
  assert.match(JSON.stringify(found), /files_list_directory/)
})

test('the tools of server-everything over Streamable HTTP become signed files that run', async (t) => {
  const url = await everythingOverHttp(t)
  const project = await createConnectedProject(t)
  const id = await project.connector('everything', { mcp_url: url, tools: ['echo', 'get-sum'] })
  assert.deepEqual(outcomes(await project.run(id)), ['echo created', 'get-sum created'])
  assert.match(JSON.stringify(valueOf(await project.execute('everything_echo', { message: 'hello' }))), /hello/)
})

async function everythingOverHttp(t: TestContext): Promise<string> {
  const port = await freePort()
  const program = join(import.meta.dirname, '../../node_modules/@modelcontextprotocol/server-everything/dist/index.js')
  const child = spawn(process.execPath, [program, 'streamableHttp'], { env: { PORT: String(port) }, stdio: 'ignore' })
  t.after(async () => {
    child.kill()
    if (child.exitCode === null) await once(child, 'exit')
  })
  const url = `http://127.0.0.1:${port}/mcp`
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await delay(50)) {
    try {
      await fetch(url, { method: 'DELETE' })
      return url
    } catch {
      // It does not listen yet.
    }
  }
  throw new Error('server-everything did not start')
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}
