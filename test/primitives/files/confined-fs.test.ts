import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { link, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type ConfinedRoot, openFile, openFolder, writeWhole } from '../../../src/primitives/files/confined-fs.ts'
import { ConfinedPathError, denialOf, parseRelativePath } from '../../../src/primitives/files/relative-path.ts'

let base = ''
let root = ''

before(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'kiwi-confined-')))
  root = join(base, 'project')
  await mkdir(join(root, 'src', 'deep'), { recursive: true })
  await mkdir(join(root, '.git'), { recursive: true })
  await mkdir(join(root, '.ai', 'threads'), { recursive: true })
  await mkdir(join(base, 'outside'))
  await mkdir(join(base, 'project-evil'))
  for (const path of ['src/a.txt', '.env', '.env.local', '.git/config', '.ai/threads/registry.db', '.ai/note.md'])
    await writeFile(join(root, path), path)
  await writeFile(join(base, 'outside', 'secret'), 'secret')
  await writeFile(join(base, 'project-evil', 'secret'), 'secret')
  await symlink(join(base, 'outside', 'secret'), join(root, 'link-file'))
  await symlink(join(base, 'outside'), join(root, 'link-folder'))
  await symlink(join(root, 'src'), join(root, 'link-inside'))
})
after(async () => await rm(base, { recursive: true, force: true }))

/** The project, with the user's own items in a folder of it. */
function at(): ConfinedRoot {
  return { path: root, userSpace: 'home/kiwi' }
}

async function read(path: string): Promise<string> {
  await using file = await openFile(at(), path)
  return await file.handle.readFile('utf8')
}

async function write(path: string, text: string, existing: 'replace' | 'refuse' = 'replace'): Promise<{ created: boolean }> {
  return await writeWhole(at(), path, { bytes: Buffer.from(text), existing })
}

test('a file inside is read and written', async () => {
  assert.equal(await read('src/a.txt'), 'src/a.txt')
  assert.equal(await read('./src/a.txt'), 'src/a.txt')
  assert.deepEqual(await write('new/folder/b.txt', 'b'), { created: true })
  assert.equal(await readFile(join(root, 'new/folder/b.txt'), 'utf8'), 'b')
})

const TRAVERSALS = [
  '../outside/secret',
  'src/../../outside/secret',
  '/etc/passwd',
  '..',
  'src/..',
  '..\\outside\\secret',
  'C:\\Windows',
  'C:/Windows',
  '\\\\?\\C:\\x',
  'src/a.txt\u0000.png',
  'a\nb',
  'src//a.txt',
  'src/./a.txt',
  'con',
  'NUL.txt',
  'name.',
  'name ',
  'file:stream',
  'e\u0301',
  '../project-evil/secret',
]
for (const path of TRAVERSALS) {
  // Fails without `parseRelativePath`.
  test(`threat row 35: the path ${JSON.stringify(path)} is refused for reading and writing`, async () => {
    for (const run of [read(path), write(path, 'x')]) await assert.rejects(run, { code: 'PATH_OUTSIDE_PROJECT' })
  })
}

for (const path of ['%2e%2e/outside/secret', '%252e%252e%252foutside', '..%2foutside', '\u00c0\u00ae\u00c0\u00ae/x']) {
  test(`threat row 35: ${path} is a plain name inside and is never decoded`, async () => {
    await assert.rejects(read(path), { code: 'FILE_NOT_FOUND' })
  })
}

for (const path of [
  '.git/config',
  '.GIT/config',
  '.env',
  '.Env',
  '.env.local',
  'src/.env',
  '.ai/threads/registry.db',
  '.AI/Threads/x',
  '.ai/keys/k',
  '.ssh/id',
  'a/.git/hooks/pre-commit',
]) {
  test(`${path} is closed to tools`, async () => {
    await assert.rejects(read(path), { code: 'PERMISSION_DENIED' })
    await assert.rejects(write(path, 'x'), { code: 'PERMISSION_DENIED' })
  })
}

for (const path of [
  '.ai/config.yaml',
  '.ai/AGENTS.md',
  '.ai/tools',
  '.AI/tools/x.yaml',
  '.ai/Tools/x.yaml',
  '.ai/trust.yaml',
  '.ai/trusted-keys/k',
  '.ai/host/host.lock.db',
  'sub/.ai/tools/x.yaml',
  'sub/.ai/keys/k',
  'home/kiwi/tools/x.yaml',
  'Home/Kiwi/config.yaml',
]) {
  // Fails without the loop over `.ai` or the user space in `denialOf`.
  test(`threat row 55: ${path} is not written by a file tool`, async () => {
    await assert.rejects(write(path, 'x'), { code: 'PERMISSION_DENIED' })
    await assert.rejects(stat(join(root, path)), { code: 'ENOENT' })
  })
}

for (const path of ['.ai/tools/x.yaml', '.ai/directives/deep/x.md', '.ai/knowledge/x.md']) {
  test(`an item is written to ${path}`, async () => {
    assert.deepEqual(await write(path, 'x'), { created: true })
  })
}

const SIGNED = 'kiwi:signed:20260102T030405Z:0:k:s'
for (const text of [
  `# ${SIGNED}\nx: 1`,
  `// ${SIGNED}`,
  `\ufeff<!-- ${SIGNED} -->`,
  `#!/bin/sh\r\n\t#${SIGNED}`,
  `a\r// ${SIGNED}`,
  '# kiwi:signed:',
]) {
  // Fails without `assertUnsigned` in `writeWhole`.
  test(`threat row 55: an item with ${JSON.stringify(text)} is not written`, async () => {
    await assert.rejects(write('.ai/tools/signed.yaml', text), {
      code: 'INVALID_REQUEST',
      message: /unsigned until its owner signs it/,
    })
    await assert.rejects(stat(join(root, '.ai/tools/signed.yaml')), { code: 'ENOENT' })
  })
}

test('a file elsewhere may speak of signature lines', async () => {
  assert.deepEqual(await write('notes.md', `# ${SIGNED}`), { created: true })
})

for (const path of [
  'home/kiwi/keys/k',
  'home/kiwi/host/host.sock',
  'home/kiwi/trust.yaml',
  'sub/.ai/threads/t/x',
  '.ai/trust.yaml',
]) {
  test(`${path} is closed for reading`, async () => {
    await assert.rejects(read(path), { code: 'PERMISSION_DENIED' })
  })
}

// What a sandbox mounts for writing is not seen before it is written.
test('threat row 55: only a file tool may write items', () => {
  assert.equal(denialOf(['.ai', 'tools', 'x.yaml'], 'edit'), null)
  for (const access of ['write', 'append'] as const) assert.notEqual(denialOf(['.ai', 'tools', 'x.yaml'], access), null)
})

test('what is below .ai can be read', async () => {
  assert.equal(await read('.ai/note.md'), '.ai/note.md')
})

for (const path of ['link-file', 'link-folder/secret', 'link-inside/a.txt']) {
  // Fails without O_NOFOLLOW in `enter` and `openChildFile`, and without the look at the link in `assertReplaceable`.
  test(`threat row 36: the link ${path} is not followed`, async () => {
    await assert.rejects(read(path), { code: 'PATH_OUTSIDE_PROJECT' })
    await assert.rejects(write(path, 'x'), { code: 'PATH_OUTSIDE_PROJECT' })
    assert.equal(await readFile(join(base, 'outside', 'secret'), 'utf8'), 'secret')
  })
}

// Fails without O_NONBLOCK or the check of what was opened.
test('threat row 36: a FIFO is refused at once', async () => {
  execFileSync('mkfifo', [join(root, 'fifo')])
  await assert.rejects(read('fifo'), { code: 'INVALID_REQUEST' })
  await assert.rejects(write('fifo', 'x'), { code: 'INVALID_REQUEST' })
})

// Fails without the checks of `isFile`.
test('threat row 36: a device is neither read nor written', async () => {
  const devices = { path: '/dev', userSpace: null }
  await assert.rejects(openFile(devices, 'zero'), { code: 'INVALID_REQUEST' })
  await assert.rejects(writeWhole(devices, 'null', { bytes: Buffer.from('x'), existing: 'replace' }), { code: 'INVALID_REQUEST' })
})

// Fails without `nlink` in `assertReplaceable`.
test('threat row 36: a file with another hard link is not written', async () => {
  await writeFile(join(base, 'outside', 'shared'), 'shared')
  await link(join(base, 'outside', 'shared'), join(root, 'hard'))
  await assert.rejects(write('hard', 'x'), /hard link/)
  assert.equal(await readFile(join(base, 'outside', 'shared'), 'utf8'), 'shared')
})

test('a folder is no file and a file is no folder', async () => {
  await assert.rejects(read('src'), { code: 'INVALID_REQUEST' })
  await assert.rejects(openFolder(at(), 'src/a.txt'), ConfinedPathError)
})

test('a replaced file keeps its mode and leaves no temporary file', async () => {
  await writeFile(join(root, 'script.sh'), 'old', { mode: 0o750 })
  assert.deepEqual(await write('script.sh', 'new'), { created: false })
  assert.equal((await stat(join(root, 'script.sh'))).mode & 0o777, 0o750)
  assert.deepEqual(
    (await readdir(root)).filter((name) => name.endsWith('.tmp')),
    [],
  )
})

test('an existing file is refused where the caller asks for a new one', async () => {
  await assert.rejects(write('src/a.txt', 'x', 'refuse'), { code: 'ITEM_EXISTS' })
  assert.deepEqual(await write('src/fresh.txt', 'x', 'refuse'), { created: true })
  assert.equal((await stat(join(root, 'src/fresh.txt'))).nlink, 1)
})

test('a folder that is swapped for a link again and again never leads outside', async () => {
  const folder = join(root, 'swap')
  await mkdir(join(root, 'real'))
  await writeFile(join(root, 'real', 'secret'), 'inside')
  const swapping = new AbortController()
  const swapper = (async () => {
    while (!swapping.signal.aborted) {
      await rename(join(root, 'real'), folder)
      await rename(folder, join(root, 'real'))
      await symlink(join(base, 'outside'), folder)
      await rm(folder)
    }
  })()
  const seen = new Set<string>()
  for (let tries = 0; tries < 1500; tries += 1)
    seen.add(
      await read('swap/secret').catch((error: unknown) => (error instanceof ConfinedPathError ? 'refused' : String(error))),
    )
  swapping.abort()
  await swapper
  assert.deepEqual(
    [...seen].filter((one) => one !== 'inside' && one !== 'refused'),
    [],
  )
})

test('the root itself has no segments', () => {
  for (const path of ['', '.', './']) assert.deepEqual(parseRelativePath(path), [])
})
