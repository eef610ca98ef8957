import assert from 'node:assert/strict'
import { existsSync, rmSync, statSync, writeFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createSearchIndex } from '../../../src/kernel/search/search-index.ts'
import type { SearchIndex, SearchQuery } from '../../../src/kernel/search/search-index.ts'
import type { ItemStore } from '../../../src/kernel/items/item-store.ts'
import { createItemSpaces, directiveFile, toolYaml } from '../items/item-spaces.ts'

function openIndex(t: TestContext, indexPath: string | null = null): SearchIndex {
  const index = createSearchIndex({ indexPath })
  t.after(() => index.close())
  return index
}

function note(description: string, body: string = ''): string {
  return `---\ndescription: ${JSON.stringify(description)}\n---\n${body}\n`
}

async function idsOf(
  store: ItemStore,
  index: SearchIndex,
  query: string,
  filter: Omit<SearchQuery, 'query'> = {},
): Promise<readonly string[]> {
  await index.refresh(store)
  return index.search({ query, ...filter }).map(({ id }) => id)
}

test('a hit in the name beats one in the description beats one in the body', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'knowledge/zebra.md', note('about nothing', 'deploy deploy deploy'))
  write('project', 'knowledge/yak.md', note('how to deploy', 'x '.repeat(5000)))
  write('project', 'knowledge/deploy_app.md', note('an app', 'y '.repeat(5000)))
  write('project', 'knowledge/other.md', note('something else'))
  assert.deepEqual(await idsOf(store(), openIndex(t), 'deploy'), ['deploy_app', 'yak', 'zebra'])
})

test('the order holds when nearly every item has the word', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'knowledge/a.md', note('x', 'deploy '.repeat(50)))
  write('project', 'knowledge/deploy_app.md', note('x'))
  write('project', 'knowledge/deploy_site.md', note('x'))
  assert.deepEqual(await idsOf(store(), openIndex(t), 'deploy'), ['deploy_app', 'deploy_site', 'a'])
})

test('an item whose id is the query comes first, however it is written', async (t) => {
  const { write, store } = createItemSpaces(t)
  for (const id of ['write', 'write_file', 'write_file_now', 'read_file'])
    write('project', `knowledge/${id}.md`, note('write file write file'))
  const items = store()
  const index = openIndex(t)
  for (const query of ['write_file', 'write file', 'writeFile', 'Write-File'])
    assert.equal((await idsOf(items, index, query))[0], 'write_file', query)
})

test('names are split at underscores, dashes and case changes, and the last word matches as a beginning', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'knowledge/sendHttpRequest.md', note('x'))
  write('project', 'knowledge/parse-invoice.md', note('x'))
  const items = store()
  const index = openIndex(t)
  assert.deepEqual(await idsOf(items, index, 'http request'), ['sendHttpRequest'])
  assert.deepEqual(await idsOf(items, index, 'sendhttprequest'), ['sendHttpRequest'])
  assert.deepEqual(await idsOf(items, index, 'parse invo'), ['parse-invoice'])
  assert.deepEqual(await idsOf(items, index, 'invo parse'), ['parse-invoice'])
  assert.deepEqual(await idsOf(items, index, 'nvoice'), [])
})

test('equal items are ordered project, user, system, then by id', async (t) => {
  const { write, store } = createItemSpaces(t)
  for (const space of ['system', 'user', 'project'] as const) {
    for (const id of ['b_page', 'a_page']) write(space, `knowledge/${id}.md`, note('x'))
  }
  const index = openIndex(t)
  await index.refresh(store())
  assert.deepEqual(
    index.search({ query: 'page' }).map(({ id, space }) => `${space} ${id}`),
    ['project a_page', 'project b_page', 'user a_page', 'user b_page', 'system a_page', 'system b_page'],
  )
})

test('the order does not depend on the order of indexing', async (t) => {
  const { write, store, spaces } = createItemSpaces(t)
  const names = ['alpha', 'beta', 'gamma', 'delta', 'epsilon']
  const items = store()
  const grown = openIndex(t)
  for (const [number, name] of names.entries()) {
    write('project', `knowledge/${name}_page.md`, note(`page ${number}`, 'page '.repeat(number)))
    await grown.refresh(items)
  }
  rmSync(join(spaces.project, 'knowledge', 'alpha_page.md'))
  await grown.refresh(items)
  write('project', 'knowledge/alpha_page.md', note('page 0'))
  const fresh = openIndex(t)
  assert.deepEqual(await idsOf(items, grown, 'page'), await idsOf(store(), fresh, 'page'))
  assert.deepEqual(grown.search({ query: 'page 3' }), fresh.search({ query: 'page 3' }))
})

test('results can be limited and filtered by type and source', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'tools/fetch_page.yaml', toolYaml('fetch_page'))
  write('user', 'directives/fetch_all.md', directiveFile('fetch_all'))
  write('system', 'knowledge/fetch_help.md', note('x'))
  const items = store()
  const index = openIndex(t)
  assert.deepEqual(await idsOf(items, index, 'fetch', { type: 'tool' }), ['fetch_page'])
  assert.deepEqual(await idsOf(items, index, 'fetch', { source: 'user' }), ['fetch_all'])
  assert.equal((await idsOf(items, index, 'fetch', { source: 'all', limit: 2 })).length, 2)
  assert.deepEqual(await idsOf(items, index, 'fetch', { type: 'tool', source: 'system' }), [])
})

test('an empty query lists everything by id, and a query without words finds nothing', async (t) => {
  const { write, store } = createItemSpaces(t)
  for (const id of ['b', 'a', 'c']) write('project', `knowledge/${id}.md`, note('x'))
  const items = store()
  const index = openIndex(t)
  assert.deepEqual(await idsOf(items, index, '  '), ['a', 'b', 'c'])
  assert.deepEqual(await idsOf(items, index, '?!'), [])
})

test('unavailable items are found and marked', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'tools/broken_tool.yaml', 'tool_id: other\n')
  const index = openIndex(t)
  await index.refresh(store())
  const [hit] = index.search({ query: 'broken' })
  assert.deepEqual([hit?.id, hit?.available, hit?.file], ['broken_tool', false, '.ai/tools/broken_tool.yaml'])
})

test('parameters, steps, tags and text are searched', async (t) => {
  const { write, store } = createItemSpaces(t)
  write(
    'project',
    'tools/one.yaml',
    toolYaml('one', 'parameters:\n  - {name: retryBudget, type: integer, description: patience}\n'),
  )
  write(
    'project',
    'directives/two.md',
    directiveFile('two', { body: '<process><step name="a">Sharpen the pencil.</step></process>' }),
  )
  write('project', 'knowledge/three.md', '---\ntags: [zoology]\n---\nThe giraffe is tall.\n')
  const items = store()
  const index = openIndex(t)
  const found = await Promise.all(
    ['budget', 'patience', 'pencil', 'zoology', 'giraffe'].map((query) => idsOf(items, index, query)),
  )
  assert.deepEqual(found, [['one'], ['one'], ['two'], ['three'], ['three']])
})

test('added, changed and removed files are seen by the next search, and others are not parsed again', async (t) => {
  const { write, store, spaces } = createItemSpaces(t)
  for (const id of ['a', 'b', 'c']) write('project', `knowledge/${id}.md`, note('old'))
  const items = store()
  const loaded: string[] = []
  const counting: ItemStore = {
    ...items,
    load(entry) {
      loaded.push(entry.id)
      return items.load(entry)
    },
  }
  const index = openIndex(t)
  await index.refresh(counting)
  assert.deepEqual(loaded.splice(0), ['a', 'b', 'c'])
  write('project', 'knowledge/b.md', note('fresh words'))
  write('project', 'knowledge/d.md', note('fresh too'))
  rmSync(join(spaces.project, 'knowledge', 'c.md'))
  assert.deepEqual(await idsOf(counting, index, 'fresh'), ['b', 'd'])
  assert.deepEqual(loaded, ['b', 'd'])
  assert.deepEqual(await idsOf(counting, index, ''), ['a', 'b', 'd'])
})

test('an index that is kept in a file parses nothing again and is private', async (t) => {
  const { write, store, folder } = createItemSpaces(t)
  const path = join(folder, 'cache', 'search.db')
  write('project', 'knowledge/kept.md', note('x'))
  const first = createSearchIndex({ indexPath: path })
  await first.refresh(store())
  first.close()
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(dirname(path)).mode & 0o777, 0o700)
  const items = store()
  const unreadable: ItemStore = { ...items, load: () => assert.fail('nothing changed') }
  assert.deepEqual(await idsOf(unreadable, openIndex(t, path), 'kept'), ['kept'])
})

test('a kept index that is broken is made anew, and one that cannot be written lives in memory', async (t) => {
  const { write, store, folder } = createItemSpaces(t)
  write('project', 'knowledge/kept.md', note('x'))
  const broken = join(folder, 'broken.db')
  writeFileSync(broken, 'this is no database '.repeat(100))
  assert.deepEqual(await idsOf(store(), openIndex(t, broken), 'kept'), ['kept'])
  const place = join(folder, 'place.db')
  mkdirSync(join(place, 'in-the-way'), { recursive: true })
  assert.deepEqual(await idsOf(store(), openIndex(t, place), 'kept'), ['kept'])
  assert(existsSync(join(place, 'in-the-way')))
})

test('two indexes on one file see what the other wrote', async (t) => {
  const { write, store, folder } = createItemSpaces(t)
  const path = join(folder, 'search.db')
  const items = store()
  const [one, two] = [openIndex(t, path), openIndex(t, path)]
  write('project', 'knowledge/first.md', note('x'))
  await Promise.all([one.refresh(items), two.refresh(items)])
  write('project', 'knowledge/second.md', note('x'))
  await Promise.all([one.refresh(items), two.refresh(items)])
  assert.deepEqual(await idsOf(items, one, ''), ['first', 'second'])
  assert.deepEqual(await idsOf(items, two, ''), ['first', 'second'])
})

test('common words are searched in the same order as rare ones', async (t) => {
  const { write, store } = createItemSpaces(t)
  for (let number = 0; number < 2100; number += 1) write('project', `knowledge/n${number}.md`, 'everywhere and anywhere\n')
  write('project', 'knowledge/everywhere.md', 'x')
  write('project', 'knowledge/everywhere_too.md', 'x')
  write('user', 'knowledge/a.md', note('it is everywhere'))
  write('project', 'knowledge/pearl_text.md', 'everywhere')
  const items = store()
  const index = openIndex(t)
  assert.deepEqual(await idsOf(items, index, 'everywhere', { limit: 4 }), ['everywhere', 'everywhere_too', 'a', 'n0'])
  assert.deepEqual(await idsOf(items, index, 'anywhere everywhere', { limit: 2 }), ['n0', 'n1'])
  assert.equal((await idsOf(items, index, 'everywhere pearl'))[0], 'pearl_text')
})

test('threat row 56: queries with operators, quotes and SQL are words and nothing else', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'knowledge/near_one.md', note('or and not near'))
  write('project', 'knowledge/secret.md', note('hidden'))
  const items = store()
  const index = openIndex(t)
  const hostile = [
    '" OR 1=1',
    "' OR '1'='1",
    'NEAR(',
    'near one NEAR/2',
    '"unbalanced',
    '*',
    'hidden*)',
    'name:secret',
    '{name} : x',
    '^secret',
    '-secret',
    'NOT hidden',
    "'; drop table items; --",
    '\0',
    '\ud800',
    '(((((',
    '%',
    '?1 :match @x $y',
  ]
  for (const query of hostile) await assert.doesNotReject(idsOf(items, index, query), query)
  assert.deepEqual(await idsOf(items, index, '" OR 1=1'), ['near_one'])
  assert.deepEqual(await idsOf(items, index, 'NOT hidden'), ['near_one', 'secret'])
  assert.deepEqual(await idsOf(items, index, ''), ['near_one', 'secret'])
})

test('threat row 56: very long queries and limits out of range are cut', async (t) => {
  const { write, store } = createItemSpaces(t)
  write('project', 'knowledge/word.md', note('x'))
  const items = store()
  const index = openIndex(t)
  assert.deepEqual(await idsOf(items, index, `word ${'a'.repeat(1_000_000)}`), ['word'])
  assert.deepEqual(await idsOf(items, index, `word ${'other '.repeat(200_000)}`), ['word'])
  const unusual = [0, -1, 1.5, Number.NaN, 1e9, Infinity]
  for (const limit of unusual) assert.deepEqual(await idsOf(items, index, 'word', { limit }), ['word'])
})
