/** Contract under test: a module is signed together with the local files that it imports, and runs with exactly those. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { importVerified } from '../../../src/primitives/runtime/verified-module.ts'
import { createTestProject, errorOf, type TestProject } from '../project.ts'

function tool(code: string): string {
  return `${code}
export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __description__ = 'Imports.'
`
}

const MAIN = tool("import { greet } from './lib/greet.ts'\nexport default (): string => greet('main')\n")
const GREET =
  "import names from '../names.json' with { type: 'json' }\nexport const greet = (name: string): string => `${names.hello} ${name}`\n"
const NAMES = '{ "hello": "hello" }\n'

async function withHelpers(project: TestProject): Promise<void> {
  await project.write('.ai/tools/lib/greet.ts', GREET)
  await project.write('.ai/tools/names.json', NAMES)
  await project.item('tools/main.ts', MAIN)
}

async function run(project: TestProject): Promise<unknown> {
  const { module } = await project.kernel.importModule('main')
  const main = module['default']
  assert(typeof main === 'function')
  return main()
}

/** What keeps a main file with these imports from being used, with its line. */
async function problemOf(project: TestProject, code: string): Promise<string> {
  await project.write('.ai/tools/main.ts', tool(code))
  const loaded = await project.kernel.load({ item_type: 'tool', item_id: 'main' })
  assert(loaded.success)
  return String((loaded['problems'] as readonly string[])[0])
}

test('a tool runs with the helpers that it was signed with, and load and sign name them', async () => {
  await using project = await createTestProject()
  await withHelpers(project)
  assert.equal(await run(project), 'hello main')
  const loaded = await project.kernel.load({ item_type: 'tool', item_id: 'main' })
  assert(loaded.success)
  assert.deepEqual([loaded['integrity'], loaded['imports']], ['signed', ['lib/greet.ts', 'names.json']])
})

test('threat row 42: a changed helper of an unchanged tool is noticed, however far it is away', async () => {
  // Without hasSameImports in trusted-items.ts, or without the imports in contentHash (signature.ts), the changed helper runs.
  await using project = await createTestProject()
  await withHelpers(project)
  for (const [path, before, after] of [
    ['.ai/tools/lib/greet.ts', GREET, GREET.replace('greet =', "evil = 'evil'\nexport const greet =")],
    ['.ai/tools/names.json', NAMES, '{ "hello": "evil!" }\n'],
  ] as const) {
    assert.equal(await run(project), 'hello main')
    await project.write(path, after)
    await assert.rejects(project.kernel.importModule('main'), { code: 'ITEM_CHANGED' })
    assert.equal(errorOf(await project.execute('main')).code, 'ITEM_CHANGED')
    await project.write(path, before)
  }
  assert.equal(await run(project), 'hello main')
})

test('threat row 40: a file that was added to what a tool imports is noticed, and one that is gone is named', async () => {
  // Without the imports in contentHash (signature.ts), a helper could bring in any other file.
  await using project = await createTestProject()
  await withHelpers(project)
  await project.write('.ai/tools/lib/more.ts', 'export const more = 1\n')
  await project.write('.ai/tools/lib/greet.ts', `import './more.ts'\n${GREET}`)
  await assert.rejects(project.kernel.importModule('main'), { code: 'ITEM_CHANGED' })
  await project.write('.ai/tools/lib/greet.ts', GREET)
  rmSync(join(project.root, '.ai/tools/names.json'))
  await assert.rejects(project.kernel.importModule('main'), (error: Error) => {
    assert.match(
      error.message,
      /main\.ts:\d+:\d+: the import `\.\.\/names\.json` \(in `lib\/greet\.ts`\) names a file that is not there/,
    )
    return true
  })
})

test('a helper that changes between two calls is noticed although the tool was used before', async () => {
  await using project = await createTestProject()
  await withHelpers(project)
  // Long enough ago for the times of the files to tell their next change.
  const old = join(project.root, '.ai/tools/lib/greet.ts')
  for (let round = 0; round < 50; round += 1) assert.equal(await run(project), 'hello main')
  writeFileSync(old, GREET.replace('hello', 'Hello'))
  await assert.rejects(project.kernel.importModule('main'), { code: 'ITEM_CHANGED' })
})

test('signing a helper that is a tool of its own again leaves the signature of its importer whole', async () => {
  await using project = await createTestProject()
  await project.item('tools/other.ts', tool("export const name = 'other'\nexport default () => name\n"))
  await project.item('tools/main.ts', tool("import { name } from './other.ts'\nexport default () => name\n"))
  assert.equal(await run(project), 'other')
  const before = await readFile(join(project.root, '.ai/tools/other.ts'), 'utf8')
  await project.write('.ai/tools/other.ts', before.slice(before.indexOf('\n') + 1))
  assert.equal(await run(project), 'other')
})

test('imports that leave the tools folder, go through links or are no plain files make the tool unavailable, with the line', async () => {
  await using project = await createTestProject()
  await project.write('outside.ts', 'export const a = 1\n')
  await project.write('.ai/knowledge/note.ts', 'export const a = 1\n')
  await project.write('.ai/tools/real/a.ts', 'export const a = 1\n')
  const tools = join(project.root, '.ai/tools')
  symlinkSync(join(tools, 'real/a.ts'), join(tools, 'link.ts'))
  symlinkSync(join(tools, 'real'), join(tools, 'folder'))
  mkdirSync(join(tools, 'dir.ts'))
  await project.write('.ai/tools/broken.ts', 'export const = 1\n')
  await project.write('.ai/tools/enum.ts', 'export enum A { B }\n')
  await project.write('.ai/tools/a.wasm', 'x')
  for (const [specifier, reason] of [
    ['../../outside.ts', /leaves the tools folder/],
    ['../knowledge/note.ts', /leaves the tools folder/],
    ['./link.ts', /goes through a link/],
    ['./folder/a.ts', /goes through a link/],
    ['./missing.ts', /is not there/],
    ['./dir.ts', /not a regular file/],
    ['./broken.ts', /broken\.ts`, line 1: a syntax error/],
    ['./enum.ts', /enum\.ts`, line 1: `enum`/],
    ['./a.wasm', /neither a module nor JSON/],
    ['./real/a.ts?x=1', /no plain relative path/],
    ['./real/%61.ts', /no plain relative path/],
    ['file:///etc/passwd', /no plain relative path/],
    ['/etc/passwd', /no plain relative path/],
    ['#alias', /no plain relative path/],
  ] as const) {
    const problem = await problemOf(project, `\nimport ${JSON.stringify(specifier)}\nexport default () => 1`)
    assert.match(problem, /^\.ai\/tools\/main\.ts:2:8: /, specifier)
    assert.match(problem, reason, specifier)
  }
  for (const code of [
    "export * from './missing.ts'",
    "export { a } from './missing.ts'",
    "export const a = import('./missing.ts')",
  ])
    assert.match(await problemOf(project, `${code}\nexport default () => 1`), /is not there/, code)
})

test('imports of types, packages and modules of Node are not followed', async () => {
  await using project = await createTestProject()
  const code =
    "import type { A } from './missing.ts'\nexport type { B } from './gone.ts'\nimport { join } from 'node:path'\nexport default () => join('a', 'b')"
  await project.item('tools/main.ts', tool(code))
  assert.equal(await run(project), join('a', 'b'))
})

test('at most 64 files and 4 MB are followed', async () => {
  await using project = await createTestProject()
  const names = Array.from({ length: 65 }, (_, index) => `./many/m${index}.ts`)
  for (const name of names) await project.write(`.ai/tools/${name}`, 'export {}\n')
  const imports = (list: readonly string[]): string =>
    `${list.map((name) => `import '${name}'`).join('\n')}\nexport default () => 1`
  assert.match(await problemOf(project, imports(names)), /^\.ai\/tools\/main\.ts:65:8: .*more than 64 files/)
  assert.equal(await problemOf(project, imports(names.slice(1))), 'undefined')
  const big = names.slice(0, 5)
  for (const name of big) await project.write(`.ai/tools/${name}`, `// ${'x'.repeat(1_000_000)}\n`)
  assert.match(await problemOf(project, imports(big)), /more than 4194304 bytes/)
})

test('files that import each other, and the tool itself, are one closure', async () => {
  await using project = await createTestProject()
  await project.write('.ai/tools/a.ts', "import { b } from './b.ts'\nexport const a = (): string => `a${b()}`\n")
  await project.write(
    '.ai/tools/b.ts',
    "import { a } from './a.ts'\nimport { self } from './main.ts'\nexport const b = (): string => `b${typeof a}${self}`\n",
  )
  await project.item('tools/main.ts', tool("import { a } from './a.ts'\nexport const self = 'main'\nexport default () => a()\n"))
  assert.equal(await run(project), 'abfunctionmain')
})

test('a local import that was not signed is refused at run time and never read from disk, one that was comes from the signed bytes', async () => {
  await using project = await createTestProject()
  await project.write('.ai/tools/listed.ts', "export const value = 'listed'\n")
  await project.write('.ai/tools/unlisted.ts', "export const value = 'unlisted'\n")
  const main =
    "export default async (name: string) => (await import(name)).value\nexport const listed = () => import('./listed.ts')\n"
  await project.item('tools/main.ts', tool(main))
  const { module } = await project.kernel.importModule('main')
  const load = module['default']
  assert(typeof load === 'function')
  await project.write('.ai/tools/listed.ts', "export const value = 'changed later'\n")
  assert.equal(await load('./listed.ts'), 'listed')
  const unlisted = join(project.root, '.ai/tools/unlisted.ts')
  for (const name of ['./unlisted.ts', unlisted, `file://${unlisted}`, './listed.ts?again', '../tools/unlisted.ts', '#unlisted'])
    await assert.rejects(load(name), /not among the files that were signed/, name)
})

test('equal bytes with other helpers are another module', async () => {
  const source = { path: '/nowhere/tools/main.ts', space: 'project' } as const
  const bytes = Buffer.from("export { value } from './a.ts'\n")
  const values: unknown[] = []
  for (const text of ['1', '2', '1']) {
    const imports = new Map([['a.ts', Buffer.from(`export const value = ${text}\n`)]])
    values.push((await importVerified({ ...source, bytes, imports }))['value'])
  }
  assert.deepEqual(values, [1, 2, 1])
})

test('a helper that is moved away while the tool is held does not change what runs', async () => {
  await using project = await createTestProject()
  await withHelpers(project)
  const { module } = await project.kernel.importModule('main')
  renameSync(join(project.root, '.ai/tools/lib'), join(project.root, '.ai/tools/gone'))
  const main = module['default']
  assert(typeof main === 'function')
  assert.equal(main(), 'hello main')
})

test('a tool is copied to another space with the helpers that it imports, and runs there as it was signed', async () => {
  await using project = await createTestProject()
  await withHelpers(project)
  const copy = { item_type: 'tool', item_id: 'main', source: 'project', destination: 'user' } as const
  const copied = await project.kernel.load(copy)
  assert(copied.success)
  assert.deepEqual(
    [copied['copied_to'], copied['copied_imports']],
    ['~/.ai/tools/main.ts', ['~/.ai/tools/lib/greet.ts', '~/.ai/tools/names.json']],
  )
  rmSync(join(project.root, '.ai/tools'), { recursive: true })
  assert.equal(await run(project), 'hello main')
})

test('a copy takes helpers that are there already, replaces other ones only when told to, and is refused without any of its own', async () => {
  await using project = await createTestProject()
  await withHelpers(project)
  mkdirSync(join(project.userSpace, 'tools'), { recursive: true })
  const theirs = join(project.userSpace, 'tools/names.json')
  const copy = { item_type: 'tool', item_id: 'main', source: 'project', destination: 'user' } as const
  writeFileSync(theirs, 'other')
  const refused = errorOf(await project.kernel.load(copy))
  assert.deepEqual([refused.code, existsSync(join(project.userSpace, 'tools/lib'))], ['ITEM_EXISTS', false])
  assert.match(refused.message, /names\.json/)
  writeFileSync(theirs, NAMES)
  assert.equal((await project.kernel.load(copy)).success, true)
  writeFileSync(theirs, 'other')
  assert.equal((await project.kernel.load({ ...copy, parameters: { overwrite: true } })).success, true)
  assert.equal(await readFile(theirs, 'utf8'), NAMES)
  rmSync(join(project.root, '.ai/tools/names.json'))
  assert.match(errorOf(await project.kernel.load(copy)).message, /not copied.*not there/)
})
