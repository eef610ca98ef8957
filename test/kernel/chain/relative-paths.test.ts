import assert from 'node:assert/strict'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { JsonObject } from '../../../src/json.ts'
import { pathBelow, shownFolders, withRelativePaths } from '../../../src/kernel/chain/relative-paths.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { createTestProject, errorOf, type TestProject } from '../project.ts'

const YAML = (id: string, executor: string, rest: string): string =>
  `tool_id: ${id}\ntool_type: x\nversion: 1.0.0\nexecutor_id: ${executor}\ndescription: x\n${rest}`

const MODULE = (type: string, body: string): string =>
  `export const __tool_type__ = '${type}'\nexport const __version__ = '1.0.0'\nexport const __executor_id__ = 'node'\nexport const __description__ = 'x'\n${body}\n`

/** Items that fail in their own ways, each naming absolute places where it can. */
async function writeFailingTools(project: TestProject): Promise<void> {
  const places = [project.root, project.userSpace, homedir(), dirname(project.userSpace)].map(
    (place) => `${place}/a.txt and ${place}`,
  )
  const message = JSON.stringify(places.join(', '))
  await project.item('tools/throwing.ts', MODULE('runtime', `export default () => { throw new Error(${message}) }`))
  await project.item(
    'tools/returning.ts',
    MODULE(
      'runtime',
      `export default () => ({ success: false, error: { code: 'NO', message: ${message}, where: [${message}] } })`,
    ),
  )
  await project.item(
    'tools/opening.ts',
    MODULE(
      'runtime',
      "import { readFileSync } from 'node:fs'\nexport default (_: any, { projectPath }: any) => readFileSync(projectPath + '/none')",
    ),
  )
  await project.item(
    'tools/running.yaml',
    YAML('running', 'subprocess', `config: { command: "${project.root}/no/such/program" }\n`),
  )
  await project.item(
    'tools/elsewhere.yaml',
    YAML('elsewhere', 'subprocess', 'config: { command: "true", cwd: no/such/folder }\n'),
  )
  await project.item('tools/asking.yaml', YAML('asking', 'http_client', `config: { url: "file://${project.root}/x" }\n`))
  await project.item('tools/closed.yaml', YAML('closed', 'http_client', 'config: { url: "http://127.0.0.1:1/" }\n'))
  await project.item('tools/broken_sink.ts', MODULE('sink', `export default async () => { throw new Error(${message}) }`))
  const streams = (destination: string): string =>
    `config: { mode: stream, url: "http://127.0.0.1:1/", stream: { destinations: [${destination}] } }\n`
  await project.item('tools/sinking.yaml', YAML('sinking', 'http_client', streams('{ type: broken_sink }')))
  await project.item('tools/linked.yaml', YAML('linked', 'http_client', streams('{ type: file, path: out/x, on_error: fail }')))
  await project.item('tools/unset.yaml', YAML('unset', 'http_client', 'config: { url: "${NOT_SET}/" }\n'))
  await project.write('.ai/tools/unsigned.yaml', YAML('unsigned', 'http_client', 'config: { url: x }\n'))
  await project.write('.ai/tools/invalid.yaml', 'tool_id: other\n')
  await symlink('/etc', join(project.root, 'out'))
  await mkdir(join(project.root, 'folder'))
}

const FAILING: readonly (readonly [id: string, parameters?: JsonObject])[] = [
  ['throwing'],
  ['returning'],
  ['opening'],
  ['running'],
  ['elsewhere'],
  ['asking'],
  ['closed'],
  ['sinking'],
  ['linked'],
  ['unset'],
  ['unsigned'],
  ['invalid'],
  ['not_there'],
  ['read_file', { path: 'none' }],
  ['read_file', { path: 'folder' }],
  ['list_files', { path: 'out' }],
  ['search_files', { path: 'out', pattern: 'x' }],
  ['write_file', { path: 'out/x', content: 'x' }],
  ['edit_file', { path: 'none', old_text: 'a', new_text: 'b' }],
]

// Fails without `withRelativePaths` in kernel.ts, and for the home folder without its entry there.
test('threat row 57: no failing tool of any kind tells an absolute path of the project, the user or the package', async () => {
  await using project = await createTestProject()
  await writeFailingTools(project)
  const places = [
    project.root,
    project.userSpace,
    dirname(project.userSpace),
    homedir(),
    join(import.meta.dirname, '..', '..', '..'),
  ]
  const told: string[] = []
  for (const [id, parameters = {}] of FAILING) {
    const error = JSON.stringify(errorOf(await project.execute(id, parameters)))
    if (places.some((place) => error.includes(place))) told.push(`${id}: ${error}`)
  }
  assert.deepEqual(told, [])
})

test('threat row 57: a path that the caller gives is told as it was given', async () => {
  await using project = await createTestProject()
  const error = errorOf(await project.execute('read_file', { path: `${project.root}/x` }))
  assert.doesNotMatch(JSON.stringify(error), new RegExp(RegExp.escape(project.root)))
})

test('a folder is replaced in every text of an error, also by its real path', async () => {
  await using project = await createTestProject()
  await symlink(project.root, join(dirname(project.root), 'link'))
  const folders = shownFolders({ [join(dirname(project.root), 'link')]: '' })
  const message = `at ${project.root}/src/a.ts and file://${dirname(project.root)}/link/b in ${project.root}-evil`
  const shown = withRelativePaths(
    new KiwiError('INTERNAL', message, { facts: { deep: [{ in: message }] } }).toEnvelope(),
    folders,
  )
  assert.equal(errorOf(shown).message, `at src/a.ts and b in ${project.root}-evil`)
  assert.deepEqual(errorOf(shown)['deep'], [{ in: `at src/a.ts and b in ${project.root}-evil` }])
})

test('a folder lies below another one by its real path, and no folder below itself', async () => {
  await using project = await createTestProject()
  await mkdir(join(project.root, 'sub', 'home'), { recursive: true })
  await writeFile(join(project.root, 'sub', 'x'), '')
  await symlink(join(project.root, 'sub'), join(dirname(project.root), 'link'))
  assert.equal(pathBelow(project.root, join(dirname(project.root), 'link', 'home')), 'sub/home')
  for (const other of [project.root, dirname(project.root), `${project.root}-evil`])
    assert.equal(pathBelow(project.root, other), null)
})
