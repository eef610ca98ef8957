import assert from 'node:assert/strict'
import test from 'node:test'
import { maySpawn } from '../../../src/capabilities/gate/orchestration.ts'
import { grants, rule } from '../tokens/fixture.ts'
import { CALLER, missing, openPost, suggestion } from './fixture.ts'

const VERBS = { 'kiwi-mcp.search': true, 'kiwi-mcp.load': true, 'kiwi-mcp.execute': true } as const

test('a call needs the meta-tool and the tool, and says the tags that are lacking', async (t) => {
  const { ask } = await openPost(t, {})
  const answer = await ask({ itemId: 'bash' })
  assert.deepEqual(missing(answer), ['kiwi-mcp.execute', 'tool.execute "bash"'])
  assert.match(suggestion(answer), /<execute resource="kiwi-mcp" action="execute"\/> <execute resource="tool" id="bash"\/>/)
})

test('threat row 44: an empty list of tools, of scopes or of names grants nothing', async (t) => {
  // Guard: lists are searched, never taken as "all" when empty.
  const none = rule({ allowIds: [], allowCategories: [] })
  const { ask } = await openPost(
    t,
    { ...VERBS, 'tool.execute': [], 'fs.read': [] },
    { knowledge: [none], directives: [none], orchestration: [none] },
  )
  assert.deepEqual(missing(await ask({ requires: ['fs.read'], parameters: { path: 'a' } })), [
    'tool.execute "tool_x"',
    'fs.read "a"',
  ])
  assert.deepEqual(missing(await ask({ verb: 'load', itemType: 'knowledge', itemId: 'k' })), ['knowledge "k"'])
  assert.deepEqual(missing(await ask({ itemType: 'directive', itemId: 'd' })), ['directive "d"'])
  assert.equal(maySpawn(grants({}, { orchestration: [none] }), { id: 'd', category: '' }), false)
})

test('a tool is granted by its id or the beginning of it, and by nothing that only looks like it', async (t) => {
  const { ask } = await openPost(t, { ...VERBS, 'tool.execute': ['read_file', 'mcp_*'] })
  const asks = async (itemId: string): Promise<boolean> => (await ask({ itemId })).permitted
  assert.deepEqual(await Promise.all(['read_file', 'mcp_x', 'read_files', 'READ_FILE', 'amcp_x'].map(asks)), [
    true,
    true,
    false,
    false,
    false,
  ])
})

test('a search marks what could not be executed, and reading about a tool needs only the meta-tool', async (t) => {
  const { ask, gate, context } = await openPost(t, { ...VERBS, 'tool.execute': ['read_file'] })
  assert.equal((await ask({ verb: 'search', itemId: 'read_file' })).permitted, true)
  assert.deepEqual(missing(await ask({ verb: 'search', itemId: 'bash' })), ['tool.execute "bash"'])
  assert.equal((await ask({ verb: 'load', itemId: 'bash' })).permitted, true)
  const item = { itemType: 'tool', itemId: 'bash', category: 'shell' } as const
  assert.deepEqual(missing(await gate.check({ verb: 'execute', item, context: await context() })), ['tool.execute "bash"'])
  assert.deepEqual(missing(await gate.check({ verb: 'help', item: null, context: await context() })), ['kiwi-mcp.help'])
})

test('knowledge and directives follow their lists for search, load and execute; a denial wins', async (t) => {
  const { ask } = await openPost(t, VERBS, {
    knowledge: [rule({ denyCategories: ['secret'] }), rule({ allowCategories: ['secret', 'docs'] })],
    directives: [rule({ denyIds: ['deploy_*'] })],
  })
  for (const verb of ['search', 'load', 'execute'] as const) {
    const knows = async (category: string): Promise<boolean> =>
      (await ask({ verb, itemType: 'knowledge', itemId: 'k', category })).permitted
    assert.deepEqual(await Promise.all(['docs', 'docs/api', 'secret', 'other'].map(knows)), [true, true, false, false])
    assert.deepEqual(missing(await ask({ verb, itemType: 'directive', itemId: 'deploy_now' })), ['directive "deploy_now"'])
    assert.equal((await ask({ verb, itemType: 'directive', itemId: 'review' })).permitted, true)
  }
})

test('a copy into the project needs the right to change what it lands among; into the user space no thread may copy', async (t) => {
  const copy = { verb: 'load', destination: 'project' } as const
  const bare = await openPost(t, VERBS)
  assert.deepEqual(missing(await bare.ask({ ...copy })), ['tool.modify'])
  assert.deepEqual(missing(await bare.ask({ ...copy, itemType: 'directive' })), ['directive.modify'])
  assert.deepEqual(missing(await bare.ask({ ...copy, itemType: 'knowledge', itemId: 'k', category: 'a/b' })), [
    'fs.write ".ai/knowledge/a/b/k.md"',
  ])
  assert.deepEqual(missing(await bare.ask({ ...copy, destination: 'user' })), ['extractor.modify'])
  const full = await openPost(t, { ...VERBS, 'tool.modify': true, 'directive.modify': true, 'fs.write': ['.ai/knowledge/**'] })
  for (const itemType of ['tool', 'directive', 'knowledge'] as const)
    assert.equal((await full.ask({ ...copy, itemType, itemId: 'k', category: 'a' })).permitted, true)
})

test('a thread spawns only under orchestration, and only what every list up the tree allows', () => {
  const lists = [rule({ allowCategories: ['work'] }), rule({ denyIds: ['deploy'] })]
  const held = grants({}, { orchestration: lists })
  assert.equal(maySpawn(grants(CALLER), { id: 'review', category: 'work' }), false)
  assert.equal(maySpawn(grants({}, { orchestration: [] }), { id: 'anything', category: '' }), true)
  assert.equal(maySpawn(held, { id: 'review', category: 'work' }), true)
  assert.equal(maySpawn(held, { id: 'deploy', category: 'work' }), false)
  assert.equal(maySpawn(held, { id: 'review', category: 'other' }), false)
})
