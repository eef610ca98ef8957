import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestProject, type TestProject } from './project.ts'

const MODULE = (...declared: readonly string[]): string => `export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const CAPABILITIES = {${declared.map((id) => ` '${id}': 'Says what it allows.'`).join(',')} } as const
export const DESCRIPTION = 'x'
`

async function ids(project: TestProject): Promise<readonly string[]> {
  return (await project.kernel.capabilities()).flatMap(({ declaration }) => declaration.capabilities)
}

test('the shipped capability modules are found in their folder', async () => {
  await using project = await createTestProject()
  const modules = await project.kernel.capabilities()
  assert.equal((await ids(project)).includes('fs.read'), true)
  assert.deepEqual(
    modules.filter(({ item }) => item.space !== 'system' || item.category !== 'capabilities'),
    [],
  )
})

test('a signed module of the project adds a new capability, from the moment it is signed', async () => {
  await using project = await createTestProject()
  await project.write('.ai/tools/mail.ts', MODULE('mail.send'))
  assert.equal((await ids(project)).includes('mail.send'), false)
  await project.item('tools/mail.ts', MODULE('mail.send'))
  assert.equal((await ids(project)).includes('mail.send'), true)
  await project.write('.ai/tools/mail.ts', MODULE('mail.send', 'mail.read'))
  assert.equal((await ids(project)).includes('mail.send'), false)
})

test('a module that declares a shipped capability does not count, not even for its other ones', async () => {
  await using project = await createTestProject()
  await project.item('tools/mine.ts', MODULE('mail.send', 'fs.read'))
  const found = await ids(project)
  assert.deepEqual([found.includes('mail.send'), found.filter((id) => id === 'fs.read').length], [false, 1])
})

test('the answer is the same list until a module comes or goes', async () => {
  await using project = await createTestProject()
  const first = await project.kernel.capabilities()
  await project.write('.ai/knowledge/x.md', 'x')
  assert.equal(await project.kernel.capabilities(), first)
  await project.item('tools/mail.ts', MODULE('mail.send'))
  assert.notEqual(await project.kernel.capabilities(), first)
})
