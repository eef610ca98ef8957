import assert from 'node:assert/strict'
import { chmod, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { KiwiError } from '../../src/kernel/errors.ts'
import { createTestKeys } from './test-keys.ts'
import { createTestProject, type TestProject } from './project.ts'

const NOTE = ['---', 'title: Kiwi', '---', 'Kiwis lay large eggs.', ''].join('\n')
const BETTER = NOTE.replace('large', 'very large')
const FILE = '.ai/knowledge/kiwi.md'

async function open(): Promise<TestProject> {
  const project = await createTestProject()
  await project.item('knowledge/kiwi.md', NOTE)
  return project
}

function read({ root }: TestProject, file = FILE): Promise<string> {
  return readFile(join(root, file), 'utf8')
}

const withCode = (code: string) => (error: unknown) => (error as KiwiError).code === code

test('a revision shows both contents without their signature lines, and writes nothing', async () => {
  await using project = await open()
  const signed = await read(project)
  const { before, after } = await project.kernel.revise('knowledge', 'kiwi', signed.replace('large', 'very large'))
  assert.deepEqual([before.text, before.trusted, after.text], [NOTE, true, BETTER])
  assert.notEqual(before.sha256, after.sha256)
  assert.equal(await read(project), signed)
})

test('a file that nobody signed as it is shows as not trusted', async () => {
  await using project = await open()
  await writeFile(join(project.root, FILE), (await read(project)).replace('large', 'huge'))
  const { before } = await project.kernel.revise('knowledge', 'kiwi', BETTER)
  assert.equal(before.trusted, false)
})

test('content that could not be signed gives an unavailable item with its problems', async () => {
  await using project = await open()
  const { after } = await project.kernel.revise('knowledge', 'kiwi', '---\ntitle: [\n---\n')
  assert.equal(after.item.state.kind, 'unavailable')
})

test('the content that was agreed to replaces the old one, signed and under the same mode', async () => {
  await using project = await open()
  const { before, after } = await project.kernel.revise('knowledge', 'kiwi', BETTER)
  const done = await project.kernel.replace('knowledge', 'kiwi', {
    content: BETTER,
    sha256: after.sha256,
    baseSha256: before.sha256,
  })
  assert.deepEqual(done, { file: FILE, sha256: after.sha256 })
  assert.match(await read(project), /^<!-- kiwi:signed:/u)
  await project.kernel.require('knowledge', 'kiwi')
})

test('the mode of the file is kept', async () => {
  await using project = await open()
  const mode = async (): Promise<number> => (await stat(join(project.root, FILE))).mode
  await chmod(join(project.root, FILE), 0o640)
  const earlier = await mode()
  const { before, after } = await project.kernel.revise('knowledge', 'kiwi', BETTER)
  await project.kernel.replace('knowledge', 'kiwi', { content: BETTER, sha256: after.sha256, baseSha256: before.sha256 })
  assert.equal(await mode(), earlier)
})

test('a file that changed meanwhile is left as it is', async () => {
  await using project = await open()
  const { before, after } = await project.kernel.revise('knowledge', 'kiwi', BETTER)
  const edited = (await read(project)).replace('large', 'blue')
  await writeFile(join(project.root, FILE), edited)
  const replacement = { content: BETTER, sha256: after.sha256, baseSha256: before.sha256 }
  await assert.rejects(project.kernel.replace('knowledge', 'kiwi', replacement), withCode('ITEM_CHANGED'))
  assert.equal(await read(project), edited)
})

test('a file that was only signed again meanwhile is still the one that was shown', async () => {
  await using project = await open()
  const { before, after } = await project.kernel.revise('knowledge', 'kiwi', BETTER)
  await writeFile(join(project.root, FILE), NOTE)
  await project.kernel.replace('knowledge', 'kiwi', { content: BETTER, sha256: after.sha256, baseSha256: before.sha256 })
  assert.match(await read(project), /very large/u)
})

test('new content that is there and signed already is not written a second time', async () => {
  await using project = await open()
  const { before, after } = await project.kernel.revise('knowledge', 'kiwi', BETTER)
  const replacement = { content: BETTER, sha256: after.sha256, baseSha256: before.sha256 }
  await project.kernel.replace('knowledge', 'kiwi', replacement)
  const { ino } = await stat(join(project.root, FILE))
  await project.kernel.replace('knowledge', 'kiwi', replacement)
  assert.equal((await stat(join(project.root, FILE))).ino, ino)
})

test('new content that somebody else put there is not signed', async () => {
  await using project = await open()
  const { before, after } = await project.kernel.revise('knowledge', 'kiwi', BETTER)
  await writeFile(join(project.root, FILE), BETTER)
  const replacement = { content: BETTER, sha256: after.sha256, baseSha256: before.sha256 }
  await assert.rejects(project.kernel.replace('knowledge', 'kiwi', replacement), withCode('ITEM_CHANGED'))
  assert.equal(await read(project), BETTER)
})

test('other content than what was shown is refused', async () => {
  await using project = await open()
  const { before, after } = await project.kernel.revise('knowledge', 'kiwi', BETTER)
  const replacement = { content: `${BETTER}More.\n`, sha256: after.sha256, baseSha256: before.sha256 }
  await assert.rejects(project.kernel.replace('knowledge', 'kiwi', replacement), withCode('ITEM_CHANGED'))
})

test('a key that cannot sign leaves the old content', async () => {
  const keys = createTestKeys()
  let locked = false
  const sign: typeof keys.sign = (message) => (locked ? Promise.reject(new Error('no key')) : keys.sign(message))
  await using project = await createTestProject({ keys: { ...keys, sign } })
  await project.item('knowledge/kiwi.md', NOTE)
  const { before, after } = await project.kernel.revise('knowledge', 'kiwi', BETTER)
  const earlier = await read(project)
  locked = true
  const replacement = { content: BETTER, sha256: after.sha256, baseSha256: before.sha256 }
  await assert.rejects(project.kernel.replace('knowledge', 'kiwi', replacement), /no key/u)
  assert.equal(await read(project), earlier)
})

test('a shipped item, and one whose file is a link, are not changed', async () => {
  await using project = await open()
  await assert.rejects(project.kernel.revise('tool', 'read_file', ''), withCode('INVALID_REQUEST'))
  await rename(join(project.root, FILE), join(project.root, '.ai/knowledge/other.md'))
  await symlink('other.md', join(project.root, FILE))
  await assert.rejects(project.kernel.revise('knowledge', 'kiwi', BETTER), withCode('INVALID_REQUEST'))
})
