import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import type { Grants } from '../../../src/capabilities/contract.ts'
import type { JsonObject } from '../../../src/json.ts'
import type { Permission } from '../../../src/kernel/contract.ts'
import type { Requirement } from '../../../src/kernel/items/item.ts'
import { CALLER, missing, openPost, suggestion } from './fixture.ts'

type Ask = (requires: Requirement, parameters?: JsonObject) => Promise<Permission>

async function holding(t: TestContext, capabilities: Grants['capabilities']): Promise<Ask> {
  const { ask } = await openPost(t, { ...CALLER, ...capabilities })
  return (requires, parameters = {}) => ask({ requires: [requires], parameters })
}

test('a bare requirement takes its scope from the parameter that the call really has', async (t) => {
  const ask = await holding(t, { 'fs.write': ['src/**'] })
  assert.equal((await ask('fs.write', { path: 'src/a.ts' })).permitted, true)
  assert.equal((await ask('fs.write', { path: './src/' })).permitted, true)
  const answer = await ask('fs.write', { path: 'test/x.ts' })
  assert.deepEqual(missing(answer), ['fs.write "test/x.ts"'])
  assert.equal(
    suggestion(answer),
    'Stay within what this thread has: fs.write src/**. A directive that needs it declares <write resource="filesystem" path="test/x.ts"/>',
  )
})

test('threat row 44: another spelling of a path does not widen its scope', async (t) => {
  // Guard: paths are parsed, compared exactly, and refused when they are not plain. Comparing texts lets `src/../x` through.
  const ask = await holding(t, { 'fs.write': ['src/**'], 'fs.read': ['src/*'] })
  const paths = [
    'src/../x',
    '../src/a',
    '/src/a',
    'SRC/a',
    'src//a',
    'src/./a',
    'srcs/a',
    'src\\..\\x',
    'src/a\0',
    'src/e\u0301',
    '',
  ]
  for (const path of paths) assert.equal((await ask('fs.write', { path })).permitted, false, JSON.stringify(path))
  assert.equal((await ask('fs.read', { path: 'src/a/b' })).permitted, false)
})

test('a parameter that should carry a scope and is absent or no text is refused, whatever is granted', async (t) => {
  const ask = await holding(t, { 'fs.write': ['**'], 'net.http': ['*.com'], 'mcp.connect': ['*'] })
  for (const [requires, parameters] of [
    ['fs.write', {}],
    ['fs.write', { path: ['a'] }],
    ['fs.write', { path: 1 }],
    ['fs.write', { path: null }],
    ['net.http', { uri: 'https://a.com' }],
    ['mcp.connect', {}],
    [{ cap: 'fs.write', scope: { path: '{folder}/**' } }, { path: 'a' }],
    [{ cap: 'fs.write', scope: {} }, { path: 'a' }],
    [{ cap: 'fs.write', scope: { file: '{path}' } }, { path: 'a' }],
    [{ cap: 'fs.write', scope: { path: '${HOME}' } }, { path: 'a' }],
  ] as const)
    assert.equal((await ask(requires, parameters)).permitted, false, JSON.stringify([requires, parameters]))
  assert.deepEqual(missing(await ask('fs.write')), ['fs.write (the parameter path is absent)'])
  assert.match(suggestion(await ask('fs.write')), /Give path as text/)
})

test('a parameter that comes from a prototype is not one', async (t) => {
  const ask = await holding(t, { 'fs.write': ['**'] })
  const inherited: JsonObject = Object.create({ path: 'a' })
  assert.deepEqual(missing(await ask('fs.write', inherited)), ['fs.write (the parameter path is absent)'])
})

test('a scope of a requirement is rendered with the parameters and must be covered whole', async (t) => {
  const ask = await holding(t, { 'fs.read': ['docs/**', 'a.txt'] })
  const tree = { cap: 'fs.read', scope: { path: '{path}/**' } }
  assert.equal((await ask(tree, { path: 'docs' })).permitted, true)
  assert.equal((await ask(tree, { path: './docs/api/' })).permitted, true)
  assert.deepEqual(missing(await ask(tree, { path: '.' })), ['fs.read "**"'])
  assert.deepEqual(missing(await ask(tree, { path: 'a.txt' })), ['fs.read "a.txt/**"'])
  assert.deepEqual(missing(await ask({ cap: 'fs.read', scope: { path: '{path}' } }, { path: '.' })), ['fs.read "**"'])
  assert.deepEqual(missing(await ask({ cap: 'fs.read', scope: { path: 'src/{name}.md' } }, { name: 'x' })), [
    'fs.read "src/x.md"',
  ])
  assert.equal((await ask(tree, { path: 'docs/../src' })).permitted, false)
})

test('the whole project is granted by ** alone', async (t) => {
  const ask = await holding(t, { 'fs.read': ['**'] })
  assert.equal((await ask({ cap: 'fs.read', scope: { path: '{path}/**' } }, { path: '.' })).permitted, true)
  assert.equal((await ask('fs.read', { path: '.' })).permitted, true)
})

test('a network call needs its host and port, and a socket the capability for sockets', async (t) => {
  const ask = await holding(t, { 'net.http': ['example.com', '*.test:8443', '127.0.0.1:8080'], 'net.websocket': ['live.com'] })
  const allowed = [
    'https://example.com/x',
    'http://EXAMPLE.com',
    'https://a.test:8443',
    'http://127.0.0.1:8080/',
    'http://0x7f.1:8080/',
    'wss://live.com/s',
  ]
  for (const url of allowed) assert.equal((await ask('net.http', { url })).permitted, true, url)
  const refused = [
    'https://example.com:8080',
    'https://a.test',
    'https://example.com.evil.com',
    'https://example.com@evil.com',
    'http://127.0.0.1:80',
    'wss://example.com',
    'https://live.com',
    'file:///etc/passwd',
    'ftp://example.com',
    '//example.com',
    'nonsense',
  ]
  for (const url of refused) assert.equal((await ask('net.http', { url })).permitted, false, url)
  const answer = await ask('net.http', { url: 'wss://other.com/s' })
  assert.deepEqual(missing(answer), ['net.websocket "other.com"'])
  assert.match(suggestion(answer), /<execute resource="net" action="websocket" host="other\.com"\/>/)
})

test('a scope of hosts is rendered from text and numbers', async (t) => {
  const ask = await holding(t, { 'net.http': ['db.internal:5432'] })
  const requires = { cap: 'net.http', scope: { host: '{host}:{port}' } }
  assert.equal((await ask(requires, { host: 'db.internal', port: 5432 })).permitted, true)
  assert.deepEqual(missing(await ask(requires, { host: 'db.internal', port: 80 })), ['net.http "db.internal"'])
  assert.equal((await ask(requires, { host: 'db.internal', port: '5432/../' })).permitted, false)
})

test('a server is named by the capability itself or by a parameter', async (t) => {
  const ask = await holding(t, { 'mcp.connect': ['supabase'] })
  assert.equal((await ask('mcp.supabase')).permitted, true)
  assert.equal((await ask('mcp.connect', { server: 'supabase' })).permitted, true)
  assert.deepEqual(missing(await ask('mcp.github')), ['mcp.connect "github"'])
})

test('a capability without scope is held or not, and one that no module declares is held by nobody', async (t) => {
  const ask = await holding(t, { 'process.exec': true, 'made.up': true, 'tool.modify': ['x'] })
  assert.equal((await ask('process.exec')).permitted, true)
  assert.deepEqual(missing(await ask('made.up')), ['made.up'])
  assert.match(suggestion(await ask('made.up')), /No trusted capability module declares made\.up/)
  assert.deepEqual(missing(await ask('tool.modify')), ['tool.modify'])
  assert.deepEqual(missing(await ask('constructor')), ['constructor'])
})

test('writing below .ai needs the right to change what lies there, besides its scope', async (t) => {
  const ask = await holding(t, { 'fs.write': ['**'], 'fs.read': ['**'] })
  assert.deepEqual(missing(await ask('fs.write', { path: '.ai/tools/x.ts' })), ['tool.modify'])
  assert.deepEqual(missing(await ask('fs.write', { path: '.AI/Tools/x.ts' })), ['tool.modify'])
  assert.deepEqual(missing(await ask('fs.write', { path: '.ai/directives/a/x.md' })), ['directive.modify'])
  assert.deepEqual(missing(await ask('fs.write', { path: '.ai/config.yaml' })), ['extractor.modify'])
  assert.deepEqual(missing(await ask({ cap: 'fs.write', scope: { path: '{path}/**' } }, { path: '.ai' })), ['extractor.modify'])
  assert.equal((await ask('fs.write', { path: '.ai/knowledge/k.md' })).permitted, true)
  assert.equal((await ask('fs.read', { path: '.ai/tools/x.ts' })).permitted, true)
  const modifying = await holding(t, { 'fs.write': ['.ai/**'], 'tool.modify': true })
  assert.equal((await modifying('fs.write', { path: '.ai/tools/x.ts' })).permitted, true)
})

test('threat row 55: closed places are closed to every thread, whatever it was granted', async (t) => {
  // Guard: `tollOf` in `lackingWanted`. Without it `**` opens the keys of the project and its git hooks.
  const everything = { 'fs.write': ['**'], 'fs.read': ['**'], 'tool.modify': true, 'extractor.modify': true } as const
  const ask = await holding(t, everything)
  const closed = [
    '.git/hooks/pre-commit',
    'a/.git/config',
    '.env',
    'a/.env.local',
    '.ai/threads/registry.db',
    '.ai/keys/k',
    '.ai/trust.yaml',
    '.AI/Trusted.json',
    '.GIT/config',
  ]
  for (const path of closed) {
    for (const capability of ['fs.read', 'fs.write']) {
      const answer = await ask(capability, { path })
      assert.deepEqual(missing(answer), [`${capability} ${JSON.stringify(path)}`])
      assert.match(suggestion(answer), /No permission opens it/)
    }
  }
})

test('a user space below the project is closed to writing, and its keys are to reading', async (t) => {
  const { ask, context } = await openPost(t, { ...CALLER, 'fs.read': ['**'], 'fs.write': ['**'] })
  const below = { ...(await context()), __user_space: 'home/me' }
  const lacking = async (requires: string, path: string): Promise<readonly string[]> =>
    missing(await ask({ requires: [requires], parameters: { path }, context: below }))
  assert.deepEqual(await lacking('fs.write', 'home/me/tools/x.ts'), ['fs.write "home/me/tools/x.ts"'])
  assert.deepEqual(await lacking('fs.read', 'home/me/keys/item.key'), ['fs.read "home/me/keys/item.key"'])
  assert.deepEqual(await lacking('fs.read', 'home/me/tools/x.ts'), [])
  assert.deepEqual(await lacking('fs.write', 'home/mine.txt'), [])
})
