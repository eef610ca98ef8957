import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { signBytes } from '../../../src/kernel/integrity/signature.ts'
import { createTestKeys } from '../test-keys.ts'
import { createItemStore } from '../../../src/kernel/items/item-store.ts'
import type { Item } from '../../../src/kernel/items/item.ts'
import { createItemSpaces, directiveFile, toolModule, toolYaml } from './item-spaces.ts'

function assertUnavailable(item: Item | null, reason: RegExp): void {
  assert(item?.state.kind === 'unavailable')
  assert.match(item.state.problems.map((problem) => problem.reason).join('\n'), reason)
}

test('an item is found in the project before the user space before the system space', async (t) => {
  const { write, store, spaces } = createItemSpaces(t)
  for (const space of ['system', 'user', 'project'] as const)
    write(space, 'tools/area/fetch.yaml', toolYaml('fetch', `effect: pure\n`))
  const items = store()
  assert.equal((await items.find('tool', 'fetch'))?.space, 'project')
  assert.equal((await items.find('tool', 'fetch', 'user'))?.space, 'user')
  rmSync(join(spaces.project, 'tools'), { recursive: true })
  assert.equal((await items.find('tool', 'fetch'))?.space, 'user')
  assert.equal(await items.find('tool', 'other'), null)
  assert.equal(await items.find('directive', 'fetch'), null)
})

test('an item tells its place, category, description and version', async (t) => {
  const { write, store } = createItemSpaces(t)
  const path = write('project', 'tools/web/pages/fetch.yaml', toolYaml('fetch'))
  const item = await store().find('tool', 'fetch')
  assert(item?.state.kind === 'available')
  assert.deepEqual(
    [item.path, item.file, item.category, item.description, item.version],
    [path, '.ai/tools/web/pages/fetch.yaml', 'web/pages', 'a tool named fetch', '1.0.0'],
  )
})

test('files of the user and system space are named without absolute paths', async (t) => {
  const { write, store, folder } = createItemSpaces(t)
  write('user', 'knowledge/a.md', 'text')
  write('system', 'directives/core/b.md', 'no directive')
  const items = await store().list()
  assert.deepEqual(items.map(({ file }) => file).toSorted(), ['system/directives/core/b.md', '~/.ai/knowledge/a.md'])
  assert(!JSON.stringify(await store().problems()).includes(folder))
})

test('bad files are listed as unavailable and never stop the others', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'tools/bomb.yaml', '['.repeat(100_000))
  write('project', 'tools/crash.ts', '['.repeat(100_000))
  write('project', 'tools/large.yaml', 'a'.repeat(5 * 1024 * 1024))
  write('project', 'tools/good.yaml', toolYaml('good'))
  write('project', 'directives/deep.md', `\`\`\`xml\n<directive>${'<a>'.repeat(10_000)}</directive>\n\`\`\`\n`)
  const items = await store().list()
  assert.deepEqual(
    items.map(({ id, state }) => [id, state.kind]),
    [
      ['deep', 'unavailable'],
      ['bomb', 'unavailable'],
      ['crash', 'unavailable'],
      ['good', 'available'],
      ['large', 'unavailable'],
    ],
  )
  const problems = await store().problems()
  assert.deepEqual(
    problems.map(({ file, line }) => [file, line]),
    [
      ['.ai/directives/deep.md', 2],
      ['.ai/tools/bomb.yaml', 1],
      ['.ai/tools/crash.ts', 1],
      ['.ai/tools/large.yaml', 1],
    ],
  )
})

test('declarations, source maps, packages, dot folders, the folders of threads and names that begin with _ are no items', async (t) => {
  const { write, store } = createItemSpaces(t)
  for (const path of [
    'tools/a.d.ts',
    'tools/a.js.map',
    'tools/node_modules/x/a.js',
    'tools/.hidden/a.yaml',
    'threads/t1/tools/a.yaml',
    'tools/README.md',
    'tools/_helper.ts',
    'knowledge/_draft.md',
  ]) {
    write('project', path, 'x')
  }
  write('system', 'tools/threads/spawn.js', toolModule())
  assert.deepEqual(
    (await store().list()).map(({ id, category }) => [id, category]),
    [['spawn', 'threads']],
  )
})

test('runtime tools of the system space are taken from a second root when the first has none of that id', async (t) => {
  const { write, spaces, folder } = createItemSpaces(t)
  write('system', 'tools/files/read.yaml', toolYaml('read'))
  const built = join(folder, 'dist')
  mkdirSync(join(built, 'tools', 'files'), { recursive: true })
  writeFileSync(join(built, 'tools', 'files', 'read.js'), toolModule())
  writeFileSync(join(built, 'tools', 'files', 'write.js'), toolModule())
  const items = createItemStore({ spaces, projectPath: folder, systemModules: built })
  t.after(() => items.close())
  assert.match((await items.find('tool', 'read'))?.path ?? '', /read\.yaml$/)
  assert.match((await items.find('tool', 'write'))?.path ?? '', /write\.js$/)
  assert.equal((await items.list()).length, 2)
})

test('shipped primitives, threads, mcp, sinks, files and core items cannot be shadowed', async (t) => {
  const { write, store } = createItemSpaces(t)
  for (const category of ['primitives', 'threads', 'mcp', 'sinks', 'files', 'core']) {
    write('system', `tools/${category}/own_${category}.yaml`, toolYaml(`own_${category}`))
    write('project', `tools/any/own_${category}.yaml`, toolYaml(`own_${category}`, 'category: any\n'))
    const items = store()
    assert.equal((await items.find('tool', `own_${category}`))?.space, 'system', category)
    assertUnavailable(await items.find('tool', `own_${category}`, 'project'), /cannot be replaced/)
  }
})

test('an endpoint tool may be put in the place of a shipped one, and a category in a text protects nothing', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('system', 'tools/llm/openai_chat.yaml', toolYaml('openai_chat', 'category: core\n'))
  write('user', 'tools/llm/openai_chat.yaml', toolYaml('openai_chat'))
  assert.equal((await store().find('tool', 'openai_chat'))?.space, 'user')
})

test('two files of one space with the same id are both unavailable', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'tools/a/same.yaml', toolYaml('same'))
  write('project', 'tools/b/same.ts', toolModule())
  const items = store()
  assertUnavailable(await items.find('tool', 'same'), /has the same id/)
  assert.equal((await items.list()).filter(({ state }) => state.kind === 'unavailable').length, 2)
})

test('a category that differs from the folder, and a file name that is no id, are told', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'tools/web/a.yaml', toolYaml('a', 'category: other\n'))
  write('project', 'knowledge/a name.md', 'text')
  const items = store()
  assert.match((await items.find('tool', 'a'))?.warnings[0]?.reason ?? '', /`other`, its folder says `web`/)
  assertUnavailable(await items.find('knowledge', 'a name'), /is not an id/)
})

test('a missing or different package makes a tool unavailable, with the line that installs it', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'tools/needy.ts', toolModule("export const DEPENDENCIES = { '@s/pkg': '1.2.3' }"))
  const items = store()
  const missing = await items.find('tool', 'needy')
  assertUnavailable(missing, /@s\/pkg@1\.2\.3 is not installed/)
  assert(missing?.state.kind === 'unavailable')
  assert.equal(missing.state.problems[0]?.fix, 'Run `kiwi install needy`.')
  write('project', 'node_modules/@s/pkg/package.json', '{"version": "1.2.4"}')
  assertUnavailable(await items.find('tool', 'needy'), /1\.2\.4 is installed/)
  write('project', 'node_modules/@s/pkg/package.json', '{"version": "1.2.3"}')
  assert.equal((await items.find('tool', 'needy'))?.state.kind, 'available')
})

test('links are followed inside of the space only, and links to folders never', async (t) => {
  const { write, store, spaces, folder } = createItemSpaces(t)
  const outside = join(folder, 'outside')
  mkdirSync(outside)
  writeFileSync(join(outside, 'secret.md'), 'secret')
  const inside = write('project', 'knowledge/real.md', 'text')
  symlinkSync(inside, join(spaces.project, 'knowledge', 'alias.md'))
  symlinkSync(join(outside, 'secret.md'), join(spaces.project, 'knowledge', 'leak.md'))
  symlinkSync(join(folder, 'nothing'), join(spaces.project, 'knowledge', 'dangling.md'))
  symlinkSync(outside, join(spaces.project, 'knowledge', 'folder'))
  const items = store()
  assert.equal((await items.find('knowledge', 'alias'))?.state.kind, 'available')
  assertUnavailable(await items.find('knowledge', 'leak'), /outside of its space/)
  assertUnavailable(await items.find('knowledge', 'dangling'), /a link to nothing/)
  assert.equal(await items.find('knowledge', 'secret'), null)
  assert((await items.problems()).some(({ file, reason }) => file === '.ai/knowledge/folder' && /link to a folder/.test(reason)))
})

test('an item folder of a project that is a link leads to nothing outside of its space; one of the user may', async (t) => {
  // Guard: `linksOut` of folder-tree.ts. Without it whoever brings the folder shows every .md file of the user to a thread.
  const { folder, spaces, store } = createItemSpaces(t)
  const outside = join(folder, 'elsewhere')
  for (const path of [outside, spaces.project, spaces.user]) mkdirSync(path, { recursive: true })
  writeFileSync(join(outside, 'diary.md'), '# Diary\n')
  symlinkSync(outside, join(spaces.project, 'knowledge'))
  const items = store()
  assert.equal(await items.find('knowledge', 'diary'), null)
  assert((await items.problems()).some(({ file, reason }) => file === '.ai/knowledge/' && /a link to a folder/.test(reason)))
  symlinkSync(outside, join(spaces.user, 'knowledge'))
  assert.equal((await store().find('knowledge', 'diary'))?.space, 'user')
})

test('a named pipe and a folder with the name of an item do not stop anything', async (t) => {
  const { write, store, spaces } = createItemSpaces(t)
  write('project', 'knowledge/good.md', 'text')
  mkdirSync(join(spaces.project, 'knowledge', 'folder.md'))
  execFileSync('mkfifo', [join(spaces.project, 'knowledge', 'pipe.md')])
  const items = store()
  assertUnavailable(await items.find('knowledge', 'pipe'), /not a regular file/)
  assert.equal(await items.find('knowledge', 'folder'), null)
  assert.equal((await items.find('knowledge', 'good'))?.state.kind, 'available')
})

test('what was changed, added, moved or removed just before a call is seen by it', async (t) => {
  const { write, store, spaces } = createItemSpaces(t)
  const items = store()
  const descriptions = async () => (await items.list('tool')).map(({ id, description }) => `${id}: ${description}`)
  assert.deepEqual(await descriptions(), [])
  const path = write('project', 'tools/x/a.yaml', toolYaml('a'))
  for (let round = 0; round < 3; round += 1) assert.deepEqual(await descriptions(), ['a: a tool named a'])
  writeFileSync(path, toolYaml('a').replace('a tool', 'A TOOL'))
  assert.deepEqual(await descriptions(), ['a: A TOOL named a'])
  write('project', 'tools/x/y/b.yaml', toolYaml('b'))
  assert.deepEqual(await descriptions(), ['a: A TOOL named a', 'b: a tool named b'])
  renameSync(join(spaces.project, 'tools', 'x', 'y', 'b.yaml'), join(spaces.project, 'tools', 'x', 'c.yaml'))
  assert.deepEqual(
    (await items.list('tool')).map(({ id, state }) => [id, state.kind]),
    [
      ['a', 'available'],
      ['c', 'unavailable'],
    ],
  )
  rmSync(dirname(path), { recursive: true })
  assert.deepEqual(await descriptions(), [])
})

test('a folder that takes the place of a watched one is seen', async (t) => {
  const { write, store, spaces } = createItemSpaces(t)
  write('project', 'knowledge/area/one.md', 'one')
  const items = store()
  const ids = async () => (await items.list('knowledge')).map(({ id }) => id)
  for (let round = 0; round < 3; round += 1) assert.deepEqual(await ids(), ['one'])
  renameSync(spaces.project, `${spaces.project}-old`)
  write('project', 'knowledge/area/two.md', 'two')
  assert.deepEqual(await ids(), ['two'])
  renameSync(join(spaces.project, 'knowledge', 'area'), join(spaces.project, 'area'))
  write('project', 'knowledge/area/three.md', 'three')
  assert.deepEqual(await ids(), ['three'])
})

test('the first folder of a type, and the first package, of a space that is watched are seen', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('user', 'knowledge/one.md', 'one')
  write('project', 'tools/needy.ts', toolModule("export const DEPENDENCIES = { '@s/pkg': '1.2.3' }"))
  const items = store()
  for (let round = 0; round < 4; round += 1) assert.equal((await items.list('directive')).length, 0)
  for (let round = 0; round < 4; round += 1) assertUnavailable(await items.find('tool', 'needy'), /is not installed/)
  write('user', 'directives/first.md', directiveFile('first'))
  assert.deepEqual(
    (await items.list('directive')).map(({ id }) => id),
    ['first'],
  )
  write('project', 'node_modules/@s/pkg/package.json', '{"version": "1.2.3"}')
  assert.equal((await items.find('tool', 'needy'))?.state.kind, 'available')
})

test('an item folder that is itself moved, replaced or comes back is seen, and so is a link that leads elsewhere', async (t) => {
  const { write, store, spaces, folder } = createItemSpaces(t)
  const root = join(spaces.user, 'knowledge')
  const items = store()
  const ids = async () => (await items.list('knowledge')).map(({ id }) => id)
  write('user', 'knowledge/one.md', 'one')
  for (let round = 0; round < 3; round += 1) assert.deepEqual(await ids(), ['one'])
  renameSync(root, join(spaces.user, 'aside'))
  assert.deepEqual(await ids(), [])
  write('user', 'knowledge/two.md', 'two')
  for (let round = 0; round < 3; round += 1) assert.deepEqual(await ids(), ['two'])
  rmSync(root, { recursive: true })
  symlinkSync('aside', root)
  for (let round = 0; round < 3; round += 1) assert.deepEqual(await ids(), ['one'])
  const elsewhere = join(folder, 'elsewhere')
  mkdirSync(elsewhere)
  writeFileSync(join(elsewhere, 'three.md'), 'three')
  rmSync(root)
  symlinkSync(elsewhere, root)
  assert.deepEqual(await ids(), ['three'])
})

test('a change of the same length with the same modification time is seen while the folder is watched', async (t) => {
  const { write, store } = createItemSpaces(t)
  const path = write('project', 'knowledge/a.md', '---\ndescription: one\n---\n')
  const before = new Date('2020-01-01T00:00:00Z')
  utimesSync(path, before, before)
  const items = store()
  for (let round = 0; round < 3; round += 1) await items.list('knowledge')
  writeFileSync(path, '---\ndescription: two\n---\n')
  utimesSync(path, before, before)
  assert.equal((await items.find('knowledge', 'a'))?.description, 'two')
})

test('the revision stays the same while nothing changes and grows with a change', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'knowledge/a.md', 'text')
  const items = store()
  await items.revision()
  await items.revision()
  const settled = await items.revision()
  assert.equal(await items.revision(), settled)
  write('project', 'knowledge/a.md', 'other text')
  assert((await items.revision()) > settled)
})

test('an entry keeps its stamp while its file stays the same and gets another one with a change', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'knowledge/a.md', 'text')
  const items = store()
  const stamp = async () => (await items.entries('knowledge'))[0]?.stamp
  const first = await stamp()
  assert.equal(await stamp(), first)
  write('project', 'knowledge/a.md', 'longer text')
  assert.notEqual(await stamp(), first)
})

test('verified bytes, their integrity and the item parsed from them belong together', async (t) => {
  const { write, store } = createItemSpaces(t)
  const subject = { type: 'tool', category: '', id: 'a' } as const
  const signed = await signBytes(Buffer.from(toolYaml('a')), 'yaml', { nowMs: 0, subject, keys: createTestKeys() })
  const path = write('project', 'tools/a.yaml', signed)
  const items = store()
  const item = await items.find('tool', 'a')
  assert(item !== null)
  const verified = await items.readVerified(item)
  assert.deepEqual([verified.integrity.kind, verified.bytes], ['signed', signed])
  writeFileSync(path, signed.toString().replace('a tool', 'another tool'))
  const changed = await items.readVerified(item)
  assert.deepEqual([changed.integrity.kind, changed.item.description], ['changed', 'another tool named a'])
  rmSync(path)
  await assert.rejects(items.readVerified(item), (error) => error instanceof KiwiError && error.code === 'FILE_NOT_FOUND')
})

test('system items count as shipped, unsigned project items as unsigned', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('system', 'directives/core/a.md', directiveFile('a'))
  write('project', 'directives/b.md', directiveFile('b'))
  const items = store()
  const kinds = await Promise.all(
    (await items.list('directive')).map(async (item) => (await items.readVerified(item)).integrity.kind),
  )
  assert.deepEqual(kinds, ['shipped', 'unsigned'])
})

test('a closed store leaves nothing that keeps the process alive and still answers', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'knowledge/a.md', 'text')
  const items = store()
  for (let round = 0; round < 3; round += 1) await items.list()
  items.close()
  assert(!process.getActiveResourcesInfo().includes('FSEventWrap'))
  write('project', 'knowledge/b.md', 'text')
  assert.equal((await items.list()).length, 2)
})
