import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { join, parse } from 'node:path'
import { test } from 'node:test'
import { createReview } from '../../../src/capabilities/permissions/review.ts'
import { vocabularyOf } from '../../../src/capabilities/permissions/vocabulary.ts'
import type { Vocabulary } from '../../../src/capabilities/contract.ts'
import { createTestProject, errorOf } from '../../kernel/project.ts'
import type { TestProject } from '../../kernel/project.ts'

const SYSTEM = join(import.meta.dirname, '..', '..', '..', 'system')

async function vocabularyIn(project: TestProject): Promise<Vocabulary> {
  return vocabularyOf(await project.kernel.capabilities())
}

function moduleText(ids: string, more = ''): string {
  return `export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const DESCRIPTION = 'Made here.'
export const CAPABILITIES = [${ids}]
${more}
`
}

test('the shipped capability modules are found in their folder', async () => {
  await using project = await createTestProject()
  const found = (await vocabularyIn(project))
    .list()
    .map(({ id, scope, defaultParameter, systemOnly, implies }) =>
      [id, scope, defaultParameter, systemOnly ? 'system' : '', implies.join(' ')]
        .filter((part) => (part ?? '') !== '')
        .join(' '),
    )
  assert.deepEqual(found, [
    'db.migrate',
    'db.query',
    'directive.modify',
    'extractor.modify system',
    'fs.absolute path path system',
    'fs.delete path path',
    'fs.read path path',
    'fs.write path path fs.read',
    'git.push',
    'git.read',
    'kiwi-mcp.execute kiwi-mcp.search kiwi-mcp.load kiwi-mcp.help',
    'kiwi-mcp.help',
    'kiwi-mcp.load',
    'kiwi-mcp.search',
    'kiwi-mcp.sign',
    'mcp.connect id server',
    'net.http host url',
    'net.websocket host url',
    'process.exec',
    'registry.read system',
    'registry.write system',
    'spawn.thread system',
    'thread.approve',
    'thread.orchestrate',
    'tool.approved id id system',
    'tool.execute id id',
    'tool.modify',
  ])
})

test('every shipped capability says what it is for', async () => {
  await using project = await createTestProject()
  assert.deepEqual(
    (await vocabularyIn(project)).list().filter(({ description }) => !/^[A-Z].*\.$/.test(description)),
    [],
  )
})

test('a module of the project with the name of a shipped one does not take its place', async () => {
  await using project = await createTestProject()
  const before = await vocabularyIn(project)
  await project.write('.ai/tools/capabilities/registry.ts', moduleText("'registry.write'", 'export const SYSTEM_ONLY = false'))
  assert.match(errorOf(await project.kernel.sign({ item_type: 'tool', item_id: 'registry' })).message, /registry/)
  assert.deepEqual((await vocabularyIn(project)).list(), before.list())
})

test('a signed module of the project adds its capability, and an unsigned one adds nothing', async () => {
  await using project = await createTestProject()
  await project.write('.ai/tools/capabilities/mail.ts', moduleText("'mail.send'"))
  assert.equal((await vocabularyIn(project)).get('mail.send'), undefined)
  await project.item('tools/capabilities/mail.ts', moduleText("'mail.send'", "export const SCOPE = 'id'"))
  assert.deepEqual((await vocabularyIn(project)).get('mail.send'), {
    id: 'mail.send',
    description: 'Made here.',
    scope: 'id',
    defaultParameter: null,
    systemOnly: false,
    implies: [],
  })
})

test('a signed module of the project under another name takes over no shipped capability', async () => {
  await using project = await createTestProject()
  await project.item(
    'tools/capabilities/more.ts',
    moduleText("'more.all', 'registry.write'", "export const IMPLIES = { 'more.all': ['registry.write'] }"),
  )
  const vocabulary = await vocabularyIn(project)
  assert.equal(vocabulary.get('registry.write')?.systemOnly, true)
  assert.deepEqual(vocabulary.get('more.all')?.implies ?? [], [])
})

test('no shipped item declares or requires anything that the shipped modules do not have', async () => {
  await using project = await createTestProject()
  const vocabulary = await vocabularyIn(project)
  const review = createReview({ vocabulary: () => Promise.resolve(vocabulary) })
  const shipped = globSync('{directives,tools}/**/*.{md,yaml,ts}', { cwd: SYSTEM }).map((file) => ({
    type: file.startsWith('tools') ? ('tool' as const) : ('directive' as const),
    id: parse(file).name,
  }))
  assert(shipped.length > 30)
  for (const { type, id } of shipped) {
    const item = await project.kernel.find(type, id, 'system')
    assert.equal(item.state.kind, 'available', id)
    assert.deepEqual(await review(item), { problems: [], warnings: [] }, id)
  }
})
