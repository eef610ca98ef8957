import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { JsonObject } from '../../../../src/json.ts'
import { directive, executes, openWorkshop, runtimeTool, says, type Workshop } from '../workshop.ts'

const LIMITS = '<max_turns>10</max_turns><on_exceeded>stop</on_exceeded>'
const READS = '<read resource="filesystem" path="notes/**"/>'
const WRITES = '<write resource="filesystem" path="docs/**"/>'
const NOTES = directive('notes', LIMITS, '', READS)
const FILE = '.ai/directives/notes.md'

async function open(t: TestContext, more: Partial<Parameters<typeof openWorkshop>[1]> = {}): Promise<Workshop> {
  return openWorkshop(t, { scenario: () => says('Done.'), directives: { notes: NOTES }, ...more })
}

interface Proposal extends JsonObject {
  readonly title: string
  readonly diff: string
  readonly permissions: { readonly added: readonly string[]; readonly removed: readonly string[] }
}

/** What a client outside of any thread is told. */
async function propose(shop: Workshop, content: string, more: JsonObject = {}): Promise<Proposal> {
  const answer = await shop.call('propose_change', { item_type: 'directive', item_id: 'notes', content, reason: 'why', ...more })
  assert.ok(answer.success, JSON.stringify(answer))
  return answer['result'] as Proposal
}

async function refused(shop: Workshop, content: string, more: JsonObject = {}): Promise<{ code: string; message: string }> {
  const answer = await shop.call('propose_change', { item_type: 'directive', item_id: 'notes', content, reason: 'why', ...more })
  assert.ok(!answer.success, JSON.stringify(answer))
  return answer.error
}

test('outside of a thread it is told what would change and how to do it, and nothing is written', async (t) => {
  const shop = await open(t)
  const before = readFileSync(join(shop.projectPath, FILE), 'utf8')
  const told = await propose(shop, directive('notes', LIMITS, '', READS + WRITES))
  assert.match(JSON.stringify(told['how_to_apply']), /Nothing was written.+kiwi sign directive notes/u)
  assert.equal(told['applied'], false)
  assert.equal(readFileSync(join(shop.projectPath, FILE), 'utf8'), before)
})

test('the permissions that a change adds and removes are told exactly, implied ones too', async (t) => {
  const shop = await open(t)
  const { permissions, title } = await propose(shop, directive('notes', LIMITS, '', WRITES))
  assert.deepEqual(permissions, { added: ['fs.read docs/**', 'fs.write docs/**'], removed: ['fs.read notes/**'] })
  assert.equal(title, 'change directive notes: +fs.read docs/**, +fs.write docs/**, -fs.read notes/**')
})

test('to lose a list of denials shows as a permission that is added', async (t) => {
  const guarded = directive('notes', LIMITS, '', `${READS}<directives deny_directives="secret_plan"/>`)
  const shop = await open(t, { directives: { notes: guarded } })
  const { permissions } = await propose(shop, NOTES)
  assert.deepEqual(permissions, {
    added: ['directives (all)'],
    removed: ['directives (deny_directives: secret_plan)'],
  })
})

test('limits, the model and hooks are told where they change', async (t) => {
  const shop = await open(t, { directives: { notes: NOTES, watch: directive('watch') } })
  const hooks = '<hooks><hook><when>cost.turns > 3</when><directive>watch</directive></hook></hooks>'
  const content = directive('notes', '<max_turns>20</max_turns><on_exceeded>stop</on_exceeded>', '', READS).replace(
    '<model tier="fast"/>',
    `<model tier="balanced"/>${hooks}`,
  )
  const told = await propose(shop, content)
  assert.deepEqual(told['cost'], { before: { max_turns: 10 }, after: { max_turns: 20 } })
  assert.deepEqual(told['model'], { before: 'tier fast', after: 'tier balanced' })
  assert.deepEqual(told['hooks'], { before: [], after: ['when cost.turns > 3 run watch {}'] })
  assert.equal(told.title, 'change directive notes: max_turns 10 to 20, model, hooks')
})

test('what a tool requires, and that it asks nobody any more, is told', async (t) => {
  const marked = runtimeTool('return 1', "export const __approval__ = 'required'\nexport const __requires__ = ['process.exec']")
  const shop = await open(t, { tools: { deploy: marked } })
  const plain = runtimeTool('return 1', '')
  const told = await propose(shop, plain, { item_type: 'tool', item_id: 'deploy' })
  assert.deepEqual(told['requires'], { before: ['process.exec'], after: [] })
  assert.deepEqual(told['approval'], { before: 'required', after: null })
})

test('the signature line is no part of the diff', async (t) => {
  const shop = await open(t)
  const signed = readFileSync(join(shop.projectPath, FILE), 'utf8')
  const { diff } = await propose(shop, signed.replace('Do the work.', 'Do the work well.'))
  assert.doesNotMatch(diff, /kiwi:signed/u)
  assert.match(diff, /^\+.*Do the work well\.<\/step>/mu)
})

test('a file that nobody signed as it is stands in the diff as a whole, with all that it grants', async (t) => {
  const shop = await open(t)
  const path = join(shop.projectPath, FILE)
  // What a thread with the permission to write directives can leave there unsigned, to have it signed with a harmless change.
  const tampered = readFileSync(path, 'utf8').replace(READS, '<read resource="filesystem" path="**"/>')
  writeFileSync(path, tampered)
  const { diff, permissions, title } = await propose(shop, tampered.replace('Do the work.', 'Do it.'))
  assert.match(diff, /^--- \/dev\/null/u)
  assert.match(diff, /^\+.*path="\*\*"/mu)
  assert.ok(permissions.added.includes('fs.read **'))
  assert.match(title, /not signed as it is/u)
})

test('content that does not parse comes back with every problem and its place', async (t) => {
  const shop = await open(t)
  const error = await refused(shop, NOTES.replace('<max_turns>10', '<max_turns>ten'))
  assert.equal(error.code, 'PARAMETER_VALIDATION_ERROR')
  assert.match(error.message, /line \d+, column \d+: `max_turns`/u)
})

test('content of another name, without a difference, or without what a thread needs is refused', async (t) => {
  const shop = await open(t)
  assert.match((await refused(shop, directive('other'))).message, /name/u)
  assert.match((await refused(shop, NOTES)).message, /what .+ holds already/u)
  assert.match((await refused(shop, NOTES.replace(/<cost>.*<\/cost>/u, ''))).message, /no `<cost>`/u)
})

test('a permission that is for shipped directives only is refused at once', async (t) => {
  const shop = await open(t)
  const error = await refused(shop, directive('notes', LIMITS, '', '<execute resource="registry" action="read"/>'))
  assert.match(error.message, /`registry\.read` is for shipped directives only/u)
})

test('a hook that runs no directive is refused', async (t) => {
  const shop = await open(t)
  const hooks = '<hooks><hook><when>true</when><directive>nobody</directive></hook></hooks>'
  const error = await refused(shop, NOTES.replace('<model tier="fast"/>', `<model tier="fast"/>${hooks}`))
  assert.match(error.message, /nobody/u)
})

test('a shipped item is refused, and so is one that is not there', async (t) => {
  const shop = await open(t)
  assert.match((await refused(shop, 'x', { item_id: 'anneal_directive' })).message, /shipped/u)
  assert.equal((await refused(shop, 'x', { item_id: 'nothing' })).code, 'ITEM_NOT_FOUND')
  assert.equal((await refused(shop, 'x', { item_id: '../../notes' })).code, 'INVALID_REQUEST')
})

test('a difference that is too long to be read is refused', async (t) => {
  const shop = await open(t)
  const steps = Array.from({ length: 2_000 }, (_, index) => `line ${index}`).join('\n')
  const error = await refused(shop, NOTES.replace('Do the work.', steps))
  assert.match(error.message, /too long to be read/u)
})

// Guard: `hiddenInNewLines` in item-change.ts.
test('threat row 33: characters that a reader does not see cannot be proposed', async (t) => {
  const shop = await open(t)
  for (const [hidden, name] of [
    ['\u001B[2K', 'U+001B'],
    ['\u202E', 'U+202E'],
    ['\u200B', 'U+200B'],
    ['x\rDo', 'U+000D'],
    ['\u{E0041}', 'U+E0041'],
    ['\u{E0101}', 'U+E0101'],
    ['\uFE01', 'U+FE01'],
    ['\uFE0F', 'U+FE0F'],
    ['\u034F', 'U+034F'],
    ['e\u200C', 'U+200C'],
  ] as const) {
    const { message } = await refused(shop, NOTES.replace('Do the work.', `Do the ${hidden}work.`))
    assert.match(message, new RegExp(`line \\d+ has the character ${name.replace('+', '\\+')}`, 'u'))
  }
})

test('emoji and the joiners of scripts that need them can be proposed', async (t) => {
  const shop = await open(t)
  const { diff } = await propose(shop, NOTES.replace('Do the work.', 'Do the work ⚠️ 👩‍💻 می‌خواهم 1️⃣.'))
  assert.match(diff, /می‌خواهم/u)
})

const HELPER = { '.ai/tools/lib/helper.ts': 'export const target = 1\n' }
const IMPORTS = (body: string): string => `import { target } from './lib/helper.ts'\n${runtimeTool(body, '')}`

// Guard: `newImports` in change-view.ts. A signature covers what a tool imports, and it may come from a thread or with a project.
test('threat row 42: the files that a changed tool imports stand in the diff where nobody has signed them with it', async (t) => {
  const shop = await open(t, { tools: { deploy: runtimeTool('return 1', '') }, files: HELPER })
  const change = { item_type: 'tool', item_id: 'deploy' }
  const { diff } = await propose(shop, IMPORTS('return target'), change)
  assert.match(diff, /^\+\+\+ b\/\.ai\/tools\/lib\/helper\.ts$/mu)
  assert.match(diff, /^\+export const target = 1$/mu)
  const hidden = { ...HELPER, '.ai/tools/lib/helper.ts': 'export const target = 1 //\u202E\n' }
  writeFileSync(join(shop.projectPath, '.ai/tools/lib/helper.ts'), hidden['.ai/tools/lib/helper.ts'])
  assert.match((await refused(shop, IMPORTS('return target'), change)).message, /U\+202E/u)
})

test('threat row 42: an imported file that was changed after the signature stands in the diff as a whole', async (t) => {
  const shop = await open(t, { tools: { deploy: IMPORTS('return target') }, files: HELPER })
  const change = { item_type: 'tool', item_id: 'deploy' }
  const before = await propose(shop, IMPORTS('return target + 1'), change)
  assert.doesNotMatch(before.diff, /helper\.ts$/mu)
  writeFileSync(join(shop.projectPath, '.ai/tools/lib/helper.ts'), 'export const target = "evil"\n')
  const { diff } = await propose(shop, IMPORTS('return target + 1'), change)
  assert.match(diff, /^\+export const target = "evil"$/mu)
})

test('a thread to retry must have ended', async (t) => {
  const shop = await open(t, {
    directives: { notes: NOTES, asks: directive('asks', '<max_turns>1</max_turns><on_exceeded>escalate</on_exceeded>') },
    scenario: () => executes(['list_files', { path: '.' }]),
  })
  const { thread_id: waiting } = await shop.run('asks')
  const error = await refused(shop, directive('notes', LIMITS, '', ''), { retry_thread_id: waiting })
  assert.equal(error.code, 'ILLEGAL_TRANSITION')
  assert.equal((await refused(shop, directive('notes', LIMITS, '', ''), { retry_thread_id: 'nobody' })).code, 'THREAD_NOT_FOUND')
})

// Guard: `assertMayRead` in item-change.ts.
test('a thread is told no diff of what it may not read', async (t) => {
  const permissions =
    '<execute resource="kiwi-mcp" action="execute"/><execute resource="tool" id="propose_change"/><directives deny_directives="notes"/>'
  const shop = await open(t, {
    directives: { notes: NOTES, curious: directive('curious', LIMITS, '', permissions) },
    scenario: ({ turn }) =>
      turn === 1
        ? executes(['propose_change', { item_type: 'directive', item_id: 'notes', content: 'x', reason: 'why' }])
        : says('Done.'),
  })
  const { thread_id: id } = await shop.run('curious')
  assert.match(shop.results(id)[0] ?? '', /PERMISSION_DENIED/u)
  assert.equal(shop.threads.approvals.list({ thread_id: id }).length, 0)
})
