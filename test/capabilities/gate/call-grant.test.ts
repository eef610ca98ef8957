import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import type { Grants } from '../../../src/capabilities/contract.ts'
import type { Requirement } from '../../../src/kernel/items/item.ts'
import type { Grant } from '../../../src/primitives/sandbox/contract.ts'
import { MINUTE_MS } from '../tokens/fixture.ts'
import { CALLER, openPost, type Post } from './fixture.ts'

async function granted(post: Post, ...chainRequires: readonly Requirement[]): Promise<Grant> {
  const answer = await post.ask({ chainRequires })
  assert.ok(answer.permitted && answer.grant !== undefined)
  return answer.grant
}

const open = (t: TestContext, capabilities: Grants['capabilities']): Promise<Post> => openPost(t, { ...CALLER, ...capabilities })

const RICH = {
  'fs.read': ['docs/**', 'a.txt'],
  'fs.write': ['out/*.md'],
  'fs.delete': ['tmp/*'],
  'net.http': ['example.com'],
  'process.exec': true,
} as const

test('a tool that requires nothing reaches nothing, whatever its thread may do', async (t) => {
  const grant = await granted(await open(t, RICH))
  assert.deepEqual([grant.read, grant.write, grant.network], [[], [], { kind: 'none' }])
})

test('of what a thread may do, a call gets what its chain requires', async (t) => {
  const post = await open(t, RICH)
  const read = await granted(post, { cap: 'fs.read', scope: { path: '{path}' } })
  assert.deepEqual(read.read, [
    { kind: 'tree', base: ['docs'] },
    { kind: 'exact', base: ['a.txt'] },
    { kind: 'extension', base: ['out'], suffix: '.md' },
  ])
  assert.deepEqual([read.write, read.network.kind, read.threadId], [[], 'none', 'one'])
  const write = await granted(post, 'fs.write')
  assert.deepEqual([write.read, write.write], [[], [{ kind: 'extension', base: ['out'], suffix: '.md' }]])
  assert.deepEqual((await granted(post, 'fs.delete')).write, [{ kind: 'children', base: ['tmp'] }])
})

test('a shell command gets all files and hosts of its thread, and no more', async (t) => {
  const grant = await granted(await open(t, RICH), 'process.exec')
  assert.deepEqual([grant.read.length, grant.write.length, grant.network.kind], [3, 1, 'scoped'])
})

test('a network grant asks each protocol for its own scopes, and opens private addresses only by name and port', async (t) => {
  const hosts = { 'net.http': ['example.com', '127.0.0.1:8080', '*.internal'], 'net.websocket': ['live.com'] }
  const { network } = await granted(await open(t, hosts), 'net.http')
  assert.ok(network.kind === 'scoped')
  const asks = (host: string, port: number, protocol: 'http' | 'websocket' = 'http'): readonly boolean[] => [
    network.policy.allows({ host, port, protocol }),
    network.policy.allowsPrivate({ host, port, protocol }),
  ]
  assert.deepEqual(asks('example.com', 443), [true, false])
  assert.deepEqual(asks('example.com', 443, 'websocket'), [false, false])
  assert.deepEqual(asks('live.com', 443, 'websocket'), [true, false])
  assert.deepEqual(asks('127.0.0.1', 8080), [true, true])
  assert.deepEqual(asks('127.0.0.1', 8081), [false, false])
  assert.deepEqual(asks('db.internal', 80), [true, false])
  assert.deepEqual(asks('169.254.169.254', 80), [false, false])
})

test('threat row 55: a scope alone opens nothing below .ai for writing that needs a right of its own', async (t) => {
  // Guard: `paidRules` in `threadGrant`. Without it a sandbox mounts the tools of the project for writing.
  const scopes = ['.ai/tools/**', '.ai/directives/*', '.ai/knowledge/**', '.ai/threads/**', 'src/**']
  const poor = await granted(await open(t, { 'fs.write': scopes }), 'fs.write')
  assert.deepEqual(
    poor.write.map(({ base }) => base.join('/')),
    ['.ai/knowledge', 'src'],
  )
  const rich = await granted(await open(t, { 'fs.write': scopes, 'tool.modify': true, 'directive.modify': true }), 'fs.write')
  assert.deepEqual(
    rich.write.map(({ base }) => base.join('/')),
    ['.ai/tools', '.ai/directives', '.ai/knowledge', 'src'],
  )
})

test('a scope of everything below .ai opens the folders that the thread may change', async (t) => {
  const { write } = await granted(await open(t, { 'fs.write': ['.ai/**'], 'tool.modify': true }), 'fs.write')
  assert.deepEqual(
    write.map(({ base }) => base.join('/')),
    ['.ai/tools', '.ai/knowledge'],
  )
})

test('equal grants of a thread have one id over renewals, and other scopes or threads another', async (t) => {
  const post = await open(t, RICH)
  const first = await granted(post, 'fs.read')
  post.office.pass(14 * MINUTE_MS)
  assert.equal((await granted(post, 'fs.read')).id, first.id)
  assert.notEqual((await granted(post, 'fs.write')).id, first.id)
  const other = await open(t, { ...RICH, 'fs.read': ['**'] })
  assert.notEqual((await granted(other, 'fs.read')).id, first.id)
  await post.office.spawn('two', 'one')
  const declared = { capabilities: { ...CALLER, ...RICH }, orchestration: null, knowledge: [], directives: [] }
  await post.host.authority.mint({ threadId: 'two', directiveId: 'work', parentThreadId: 'one', declared })
  const answer = await post.ask({ chainRequires: ['fs.read'], context: await post.context('two') })
  assert.ok(answer.permitted)
  assert.notEqual(answer.grant?.id, first.id)
})
