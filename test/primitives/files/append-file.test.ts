import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openForAppend } from '../../../src/primitives/files/append-file.ts'

let base = ''
let root = ''

before(() => {
  base = mkdtempSync(join(tmpdir(), 'kiwi-append-'))
  root = join(base, 'project')
  mkdirSync(join(root, 'out'), { recursive: true })
  mkdirSync(join(base, 'outside'))
  writeFileSync(join(base, 'outside', 'secret'), 'secret')
})
after(() => rmSync(base, { recursive: true, force: true }))

function append(path: string, text = 'x'): void {
  const file = openForAppend({ path: root, userSpace: 'home/kiwi' }, path)
  writeSync(file, text)
  closeSync(file)
}

test('a file is appended to, and its folders are made', () => {
  append('out/new/a.jsonl', 'one')
  append('./out/new/a.jsonl', 'two')
  assert.equal(readFileSync(join(root, 'out/new/a.jsonl'), 'utf8'), 'onetwo')
})

const TRAVERSALS = [
  '../outside/secret',
  'out/../../outside/secret',
  '/etc/kiwi',
  '..',
  'out/',
  '.',
  '',
  '..\\outside\\secret',
  'C:\\x',
  'C:x',
  '\\\\?\\C:\\x',
  '\\\\server\\share',
  'out/a\u0000.png',
  'out//a',
  'con',
  'out/a.',
  'out/a:stream',
]
for (const path of TRAVERSALS) {
  // Fails without `parseRelativePath` in `openForAppend`.
  test(`threat row 35: a stream to ${JSON.stringify(path)} is refused and makes nothing`, () => {
    assert.throws(() => append(path), { code: 'PATH_OUTSIDE_PROJECT' })
    assert.deepEqual(readdirSync(root), ['out'])
    assert.equal(readFileSync(join(base, 'outside', 'secret'), 'utf8'), 'secret')
  })
}

for (const path of ['%2e%2e/x', '%252e%252e%252fx', '..%2fx', '\u00c0\u00ae\u00c0\u00ae/x']) {
  // Fails when a path is decoded before it is checked.
  test(`threat row 35: ${path} is a plain name inside and is never decoded`, () => {
    append(path)
    assert.equal(existsSync(join(root, path)), true)
    rmSync(join(root, path.split('/')[0] ?? ''), { recursive: true })
  })
}

// Each fails without O_NOFOLLOW, O_NONBLOCK or the check of what was opened in `openFile` of append-file.ts.
test('threat row 36: a stream to a link, a linked folder, a pipe or a hard link is refused at once', () => {
  symlinkSync(join(base, 'outside', 'secret'), join(root, 'out', 'link'))
  symlinkSync(join(base, 'outside'), join(root, 'out', 'linked'))
  linkSync(join(base, 'outside', 'secret'), join(root, 'out', 'hard'))
  execFileSync('mkfifo', [join(root, 'out', 'fifo')])
  for (const path of ['out/link', 'out/linked/secret', 'out/linked/new', 'out/hard', 'out/fifo'])
    assert.throws(() => append(path), { code: 'PATH_OUTSIDE_PROJECT' }, path)
  assert.equal(readFileSync(join(base, 'outside', 'secret'), 'utf8'), 'secret')
  assert.deepEqual(readdirSync(join(base, 'outside')), ['secret'])
})

// Fails without the check of what was opened: a pipe with a reader can be opened.
test('threat row 36: a stream to a pipe that somebody reads is refused', () => {
  execFileSync('mkfifo', [join(root, 'out', 'read')])
  const script = `
    import { openSync, constants } from 'node:fs'
    import { openForAppend } from ${JSON.stringify(new URL('../../../src/primitives/files/append-file.ts', import.meta.url).href)}
    openSync('out/read', constants.O_RDONLY | constants.O_NONBLOCK)
    try { openForAppend({ path: process.cwd(), userSpace: null }, 'out/read') } catch (error) { console.log(error.code) }`
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: root, timeout: 20_000 })
  assert.equal(printed.toString().trim(), 'PATH_OUTSIDE_PROJECT')
})

// Fails without the check of what was opened.
test('threat row 36: a stream to a device is refused', () => {
  assert.throws(() => openForAppend({ path: '/dev', userSpace: null }, 'null'), { code: 'PATH_OUTSIDE_PROJECT' })
})

const CLOSED = [
  '.git/hooks/pre-commit',
  '.GIT/config',
  '.env',
  'sub/.env.local',
  '.ai/tools/x.yaml',
  '.AI/Tools/x.yaml',
  '.ai/directives/x.md',
  '.ai/knowledge/x.md',
  '.ai/config.yaml',
  '.ai/trust.yaml',
  '.ai/keys/k',
  '.ai/host/host.sock',
  '.ai/threads/registry.db',
  'sub/.ai/threads/t/stream.jsonl',
  'sub/.ai/tools/x.yaml',
  'home/kiwi/config.yaml',
  'home/kiwi/keys/k',
]
for (const path of CLOSED) {
  // Fails without `denialOf` in `openForAppend`.
  test(`threat row 55: no stream is written to ${path}`, () => {
    assert.throws(() => append(path), { code: 'PERMISSION_DENIED' })
    assert.equal(existsSync(join(root, path)), false)
  })
}

test("a stream is written to the folder of its thread in the project's .ai", () => {
  append('.ai/threads/t/stream.jsonl')
  assert.equal(readFileSync(join(root, '.ai/threads/t/stream.jsonl'), 'utf8'), 'x')
  rmSync(join(root, '.ai'), { recursive: true })
})
