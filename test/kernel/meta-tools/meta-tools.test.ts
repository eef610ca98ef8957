import assert from 'node:assert/strict'
import { chmod, readdir, readFile, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { HELP_TOPICS } from '../../../src/kernel/meta-tools/help.ts'
import { META_TOOLS } from '../../../src/kernel/meta-tools/meta-tools.ts'
import { createTestProject, errorOf } from '../project.ts'

const DIRECTIVE = (head: string): string => `# Greet

\`\`\`xml
<directive name="greet" version="1.0.0">
  <metadata>
    <description>Greet somebody.</description>
    <category>examples</category>
    <author>me</author>
    ${head}
  </metadata>
  <inputs>
    <input name="who" type="string" required="true">Whom.</input>
    <input name="times" type="integer" default="2">How often.</input>
  </inputs>
  <process>
    <step name="say">Say hello.</step>
  </process>
</directive>
\`\`\`
`
const COMPLETE =
  '<model tier="fast"/><cost><max_turns>3</max_turns><on_exceeded>stop</on_exceeded></cost><permissions></permissions>'
const NOTE = '---\ntitle: A note\ntags: [x]\n---\nSee [[other]].\n'

test('the five descriptions take at most 8 KB of JSON', () => {
  assert.deepEqual(
    META_TOOLS.map(({ name }) => name),
    ['search', 'load', 'execute', 'sign', 'help'],
  )
  assert.ok(JSON.stringify(META_TOOLS).length <= 8192)
})

test('executing a directive returns its steps and inputs as data', async () => {
  await using project = await createTestProject()
  await project.item('directives/greet.md', DIRECTIVE(COMPLETE))
  const result = await project.kernel.execute({ item_type: 'directive', item_id: 'greet', parameters: { who: 'you' } })
  assert.equal(result.success, true, JSON.stringify(result))
  const {
    status,
    directive,
    can_spawn_thread: canSpawn,
  } = result as unknown as {
    status: string
    can_spawn_thread: boolean
    directive: { process: string[]; inputs: { name: string; value: unknown }[] }
  }
  assert.deepEqual([status, canSpawn], ['ready', true])
  assert.deepEqual(
    directive.inputs.map(({ name, value }) => [name, value]),
    [
      ['who', 'you'],
      ['times', 2],
    ],
  )
  assert.match(directive.process[0] ?? '', /say: Say hello/)
})

test('absent required inputs of a directive are listed', async () => {
  await using project = await createTestProject()
  await project.item('directives/greet.md', DIRECTIVE(COMPLETE))
  const error = errorOf(await project.kernel.execute({ item_type: 'directive', item_id: 'greet' }))
  assert.deepEqual(
    [error.code, error['missing_inputs']],
    ['MISSING_INPUTS', [{ name: 'who', type: 'string', description: 'Whom.' }]],
  )
})

test('inputs of the wrong type and unknown inputs are refused', async () => {
  await using project = await createTestProject()
  await project.item('directives/greet.md', DIRECTIVE(COMPLETE))
  const error = errorOf(
    await project.kernel.execute({ item_type: 'directive', item_id: 'greet', parameters: { who: 1, whom: 'x' } }),
  )
  assert.deepEqual(error.failed_at?.validation_errors.map(({ field }) => field).toSorted(), ['who', 'whom'])
})

test('a directive without a model can be followed but not spawned', async () => {
  await using project = await createTestProject()
  await project.item('directives/greet.md', DIRECTIVE(''))
  const result = await project.kernel.execute({ item_type: 'directive', item_id: 'greet', parameters: { who: 'x' } })
  assert.equal((result as Record<string, unknown>)['can_spawn_thread'], false)
})

test('an incomplete directive is signed only as a draft, and the refusal shows the lines to add', async () => {
  await using project = await createTestProject()
  await project.write('.ai/directives/greet.md', DIRECTIVE(''))
  const error = errorOf(await project.kernel.sign({ item_type: 'directive', item_id: 'greet' }))
  assert.deepEqual([error.code, error['missing']], ['DIRECTIVE_INVALID', ['model', 'permissions', 'cost']])
  assert.match(error.suggestion ?? '', /<model tier="balanced"\/>/)
  assert.equal(
    (await project.kernel.sign({ item_type: 'directive', item_id: 'greet', parameters: { draft: true } })).success,
    true,
  )
})

test('an unsigned directive is loaded but not executed', async () => {
  await using project = await createTestProject()
  await project.write('.ai/directives/greet.md', DIRECTIVE(COMPLETE))
  const loaded = await project.kernel.load({ item_type: 'directive', item_id: 'greet' })
  assert.deepEqual([loaded.success, (loaded as Record<string, unknown>)['integrity']], [true, 'unsigned'])
  assert.equal(
    errorOf(await project.kernel.execute({ item_type: 'directive', item_id: 'greet', parameters: { who: 'x' } })).code,
    'ITEM_UNSIGNED',
  )
})

test('executing knowledge returns its content', async () => {
  await using project = await createTestProject()
  await project.item('knowledge/note.md', NOTE)
  const result = await project.kernel.execute({ item_type: 'knowledge', item_id: 'note' })
  assert.deepEqual(
    [(result as Record<string, unknown>)['content'], (result as Record<string, unknown>)['links']],
    ['See [[other]].\n', ['other']],
  )
})

test('signing writes one line, keeps the mode and is stable', async () => {
  await using project = await createTestProject()
  await project.write('.ai/knowledge/note.md', NOTE)
  const path = join(project.root, '.ai/knowledge/note.md')
  await chmod(path, 0o640)
  await project.kernel.sign({ item_type: 'knowledge', item_id: 'note' })
  const once = await readFile(path, 'utf8')
  await project.kernel.sign({ item_type: 'knowledge', item_id: 'note' })
  assert.equal(await readFile(path, 'utf8'), once)
  assert.match(once, /^<!-- kiwi:signed:20260102T030405Z:[0-9a-f]{64}:[\w-]{43}:[\w-]{86} -->\n---\n/)
  assert.equal((await stat(path)).mode & 0o777, 0o640)
  assert.deepEqual(await readdir(join(project.root, '.ai/knowledge')), ['note.md'])
})

test('an item that is not valid is not signed, and its problems are named', async () => {
  await using project = await createTestProject()
  await project.write('.ai/tools/bad.yaml', 'tool_id: other\ntool_type: http\n')
  const error = errorOf(await project.kernel.sign({ item_type: 'tool', item_id: 'bad' }))
  assert.equal(error.code, 'ITEM_UNAVAILABLE')
  assert.match(String((error['problems'] as string[])[0]), /^\.ai\/tools\/bad\.yaml:\d+:\d+: /)
})

test('a shipped item is not signed', async () => {
  await using project = await createTestProject()
  assert.equal(errorOf(await project.kernel.sign({ item_type: 'tool', item_id: 'http_client' })).code, 'INVALID_REQUEST')
})

test('load copies an item to another space, refuses to replace it, and replaces it when told to', async () => {
  await using project = await createTestProject()
  await project.item('knowledge/deep/note.md', NOTE)
  const copy = { item_type: 'knowledge', item_id: 'note', source: 'project', destination: 'user' } as const
  const first = await project.kernel.load(copy)
  assert.equal((first as Record<string, unknown>)['copied_to'], '~/.ai/knowledge/deep/note.md')
  assert.equal(errorOf(await project.kernel.load(copy)).code, 'ITEM_EXISTS')
  assert.equal((await project.kernel.load({ ...copy, parameters: { overwrite: true } })).success, true)
  assert.match(await readFile(join(project.userSpace, 'knowledge/deep/note.md'), 'utf8'), /See \[\[other\]\]/)
})

test('load does not copy through a link in the destination', async () => {
  await using project = await createTestProject()
  await project.item('knowledge/note.md', NOTE)
  await symlink(project.root, join(project.userSpace, 'knowledge'))
  const error = errorOf(
    await project.kernel.load({ item_type: 'knowledge', item_id: 'note', source: 'project', destination: 'user' }),
  )
  assert.equal(error.code, 'PATH_OUTSIDE_PROJECT')
})

test('load shows at most 30 KB of a file and says so', async () => {
  await using project = await createTestProject()
  await project.write('.ai/knowledge/long.md', `# Long\n${'x'.repeat(50_000)}`)
  const result = (await project.kernel.load({ item_type: 'knowledge', item_id: 'long' })) as Record<string, unknown>
  assert.deepEqual([String(result['text']).length, result['text_truncated'], result['text_bytes']], [30_000, true, 50_007])
})

test('load shows the parameters of a shipped tool', async () => {
  await using project = await createTestProject()
  const result = await project.kernel.load({ item_type: 'tool', item_id: 'read_file' })
  const { available, definition } = result as unknown as {
    available: boolean
    definition: { inputSchema: { required: string[] } }
  }
  assert.deepEqual([available, definition.inputSchema.required], [true, ['path']])
})

test('the permission port sees where load would copy an item, and a denial copies nothing', async () => {
  const asked: unknown[] = []
  await using project = await createTestProject({
    authorize: async ({ verb, destination, requires, chainRequires }) => {
      if (verb !== 'load') return { permitted: true }
      asked.push([destination, requires, chainRequires])
      if (destination === undefined) return { permitted: true }
      return { permitted: false, missing: ['tool.modify'], suggestion: 'Ask.', code: 'TOKEN_INVALID' }
    },
  })
  await project.item('knowledge/note.md', NOTE)
  const error = errorOf(await project.kernel.load({ item_type: 'knowledge', item_id: 'note', destination: 'user' }))
  assert.deepEqual([error.code, error['missing']], ['TOKEN_INVALID', ['tool.modify']])
  assert.equal((await project.kernel.load({ item_type: 'knowledge', item_id: 'note' })).success, true)
  assert.deepEqual(asked, [
    ['user', [], []],
    [undefined, [], []],
  ])
  assert.deepEqual(await readdir(project.userSpace), [])
})

test('search finds an item by its words and bounds its answer', async () => {
  await using project = await createTestProject()
  await project.item('knowledge/zebra-facts.md', '---\ntitle: Stripes of zebras\n---\nzebra\n')
  const result = await project.kernel.search({ query: 'zebra', limit: 1 })
  const { results } = result as unknown as { results: { id: string; type: string; space: string; available: boolean }[] }
  assert.deepEqual(
    results.map(({ id, type, space, available }) => [id, type, space, available]),
    [['zebra-facts', 'knowledge', 'project', true]],
  )
})

test('every help topic is installed', async () => {
  await using project = await createTestProject()
  for (const topic of HELP_TOPICS) {
    const result = await project.kernel.help({ topic })
    assert.equal(result.success && String(result['content']).length > 200, true, topic)
  }
})

test('a help signal outside a thread explains itself', async () => {
  await using project = await createTestProject()
  const result = await project.kernel.help({ action: 'escalate', reason: 'r' })
  assert.equal((result as Record<string, unknown>)['recorded'], false)
})

const WRONG: readonly (readonly ['search' | 'load' | 'execute' | 'sign' | 'help', Readonly<Record<string, unknown>>, RegExp])[] =
  [
    ['search', { item_id: 'x' }, /`item_id` is not taken by search/],
    ['search', { limit: 0 }, /`limit` must be an integer/],
    ['load', { item_type: 'tool' }, /needs `item_id`/],
    ['load', { item_type: 'thing', item_id: 'x' }, /`item_type` must be one of/],
    ['execute', { item_type: 'tool', item_id: '../x' }, /Expected an item id/],
    ['execute', { item_type: 'tool', item_id: 'x', action: 'walk' }, /must be run/],
    ['execute', { item_type: 'tool', item_id: 'x', parameters: [] }, /`parameters` must be an object/],
    ['execute', { item_type: 'tool', item_id: 'x', project_path: '/elsewhere' }, /another project/],
    ['execute', { item_type: 'tool', item_id: 'x', unknown: 1 }, /`unknown` is not taken/],
    [
      'sign',
      { item_type: 'tool', item_id: 'read_file', parameters: { force: true } },
      /takes only the parameters draft and sha256/,
    ],
    ['help', { topic: 'nothing' }, /no help topic/],
  ]
for (const [verb, request, message] of WRONG) {
  test(`${verb} refuses ${JSON.stringify(request)}`, async () => {
    await using project = await createTestProject()
    const error = errorOf(await project.kernel[verb](request))
    assert.equal(error.code, 'INVALID_REQUEST')
    assert.match(error.message, message)
  })
}

test('an item that does not exist is ITEM_NOT_FOUND with a hint', async () => {
  await using project = await createTestProject()
  const error = errorOf(await project.execute('no_such_tool'))
  assert.deepEqual([error.code, /search/.test(error.suggestion ?? '')], ['ITEM_NOT_FOUND', true])
})
