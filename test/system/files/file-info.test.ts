import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JsonObject } from '../../../src/json.ts'
import { createTestProject, errorOf, type TestProject, valueOf } from '../../kernel/project.ts'

async function infoOf(project: TestProject, parameters: JsonObject): Promise<JsonObject> {
  return valueOf(await project.execute('file_info', parameters)) as JsonObject
}

test('file_info tells size, hash and time of a file', async () => {
  await using project = await createTestProject()
  await project.write('docs/a.txt', 'one\ntwo\n')
  await utimes(join(project.root, 'docs/a.txt'), 0, 1_700_000_000)
  assert.deepEqual(await infoOf(project, { path: './docs/a.txt' }), {
    path: 'docs/a.txt',
    exists: true,
    type: 'file',
    size: 8,
    sha256: createHash('sha256').update('one\ntwo\n').digest('hex'),
    modified: '2023-11-14T22:13:20.000Z',
  })
})

test('file_info hashes a file that is longer than one piece, and an empty one', async () => {
  await using project = await createTestProject()
  const long = 'x'.repeat(3 * 1024 * 1024 + 17)
  for (const text of [long, '']) {
    await project.write('data.txt', text)
    assert.equal((await infoOf(project, { path: 'data.txt' }))['sha256'], createHash('sha256').update(text).digest('hex'))
  }
})

test('file_info leaves the hash out on request', async () => {
  await using project = await createTestProject()
  await project.write('a.txt', 'one')
  const { size, sha256 } = await infoOf(project, { path: 'a.txt', hash: false })
  assert.deepEqual([size, sha256], [3, null])
})

test('file_info says that there is nothing, a folder, or something that is neither file nor folder', async () => {
  await using project = await createTestProject()
  await mkdir(join(project.root, 'docs'))
  execFileSync('mkfifo', [join(project.root, 'pipe')])
  const nothing = { size: null, sha256: null, modified: null }
  for (const path of ['none.txt', 'none/at/all.txt'])
    assert.deepEqual(await infoOf(project, { path }), { path, exists: false, type: null, ...nothing })
  for (const path of ['docs', '.']) {
    const { exists, type, modified } = await infoOf(project, { path })
    assert.deepEqual([exists, type, typeof modified], [true, 'folder', 'string'])
  }
  assert.deepEqual(await infoOf(project, { path: 'pipe' }), { path: 'pipe', exists: true, type: 'other', ...nothing })
})

test('file_info follows no link and looks at nothing that is closed', async () => {
  await using project = await createTestProject()
  await project.write('.env', 'TOKEN=1')
  await project.write('.ai/threads/t/x', 'journal')
  await symlink('/etc/hostname', join(project.root, 'link'))
  await symlink('/etc', join(project.root, 'folder'))
  for (const [path, code] of [
    ['link', 'PATH_OUTSIDE_PROJECT'],
    ['folder', 'PATH_OUTSIDE_PROJECT'],
    ['folder/hostname', 'PATH_OUTSIDE_PROJECT'],
    ['../a.txt', 'PATH_OUTSIDE_PROJECT'],
    ['/etc/hostname', 'PATH_OUTSIDE_PROJECT'],
    ['.env', 'PERMISSION_DENIED'],
    ['.ai/threads/t/x', 'PERMISSION_DENIED'],
    ['.git/config', 'PERMISSION_DENIED'],
  ] as const) {
    assert.equal(errorOf(await project.execute('file_info', { path })).code, code, path)
  }
})
