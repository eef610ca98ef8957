import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { type InstallKey, openInstallKey } from '../../../src/capabilities/keys/install-key.ts'
import { verifyKeySignature } from '../../../src/capabilities/keys/key-file.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'

const MESSAGE = Buffer.from('a message')
const MODULE = new URL('../../../src/capabilities/keys/install-key.ts', import.meta.url).href

function places(t: TestContext) {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-keys-')))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const projectPath = join(root, 'project')
  mkdirSync(projectPath)
  const folder = join(root, 'home', '.ai', 'keys')
  return {
    root,
    projectPath,
    folder,
    file: join(folder, 'install-key.pem'),
    open: (): InstallKey => openInstallKey(folder, { projectPath }),
  }
}

function assertUnsafe(open: () => unknown, suggestion: RegExp): void {
  assert.throws(open, (error) => {
    assert(error instanceof KiwiError)
    assert.equal(error.code, 'KEY_UNSAFE')
    assert.match(error.context.suggestion ?? '', suggestion)
    return true
  })
}

test('the key is made when it is first opened, for its owner only, and is the same one from then on', (t) => {
  const { folder, file, open } = places(t)
  const { keyId } = open()
  assert.match(keyId, /^[A-Za-z0-9_][A-Za-z0-9_-]{42}$/)
  assert.deepEqual([statSync(folder).mode & 0o777, statSync(file).mode & 0o777], [0o700, 0o600])
  assert.deepEqual(readdirSync(folder), ['install-key.pem'])
  assert.equal(open().keyId, keyId)
})

test('a signature holds for its key, its message and its purpose only', (t) => {
  const key = places(t).open()
  const other = places(t).open()
  const signature = key.sign('item', MESSAGE)
  const claim = { keyId: key.keyId, purpose: 'item', message: MESSAGE, signature } as const
  assert.equal(verifyKeySignature(claim), true)
  assert.equal(verifyKeySignature({ ...claim, purpose: 'run_key' }), false)
  assert.equal(verifyKeySignature({ ...claim, keyId: other.keyId }), false)
  assert.equal(verifyKeySignature({ ...claim, message: Buffer.from('another message') }), false)
  for (let at = 0; at < signature.length; at += 1) {
    const changed = `${signature.slice(0, at)}${signature[at] === 'A' ? 'B' : 'A'}${signature.slice(at + 1)}`
    assert.equal(verifyKeySignature({ ...claim, signature: changed }), false, `character ${at}`)
  }
  for (const odd of ['', '-', `${signature}=`, `${signature}A`, signature.slice(1)])
    assert.equal(verifyKeySignature({ ...claim, signature: odd }), false, odd)
  assert.equal(verifyKeySignature({ ...claim, keyId: `${key.keyId}=` }), false)
})

test('processes that make the key at the same moment end with one key', async (t) => {
  const { root, folder, projectPath } = places(t)
  const script = join(root, 'open.ts')
  writeFileSync(
    script,
    `import { openInstallKey } from ${JSON.stringify(MODULE)}
     process.stdin.once('data', () => {
       console.log(openInstallKey(${JSON.stringify(folder)}, { projectPath: ${JSON.stringify(projectPath)} }).keyId)
       process.exit(0)
     })
     console.log('ready')`,
  )
  const children = Array.from({ length: 4 }, () => spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] }))
  t.after(() => children.forEach((child) => child.kill('SIGKILL')))
  const outputs = children.map((child) => {
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    return () => text
  })
  await Promise.all(children.map(async (child) => await once(child.stdout, 'data', { signal: AbortSignal.timeout(30_000) })))
  const ends = children.map(async (child) => await once(child, 'close', { signal: AbortSignal.timeout(30_000) }))
  for (const child of children) child.stdin.write('go\n')
  await Promise.all(ends)
  const keyIds = outputs.map((output) => output().split('\n')[1])
  assert.equal(keyIds[0]?.length, 43)
  assert.equal(new Set(keyIds).size, 1)
  assert.deepEqual(readdirSync(folder), ['install-key.pem'])
})

test('a folder or file that others may use is refused with the command that mends it', (t) => {
  const { folder, file, open } = places(t)
  const { keyId } = open()
  for (const mode of [0o701, 0o710, 0o750, 0o777]) {
    chmodSync(folder, mode)
    assertUnsafe(open, new RegExp(`chmod 700 ${folder}`))
  }
  chmodSync(folder, 0o700)
  for (const mode of [0o604, 0o640, 0o660, 0o666]) {
    chmodSync(file, mode)
    assertUnsafe(open, new RegExp(`chmod 600 ${file}`))
  }
  chmodSync(file, 0o600)
  assert.equal(open().keyId, keyId)
})

test('a folder of another user is refused', (t) => {
  const { projectPath, folder, open } = places(t)
  if (process.getuid?.() === 0) {
    open()
    // Only root can give a folder away, and every other user finds one of root's.
    const { chownSync } = process.getBuiltinModule('node:fs')
    chownSync(folder, 65_534, 65_534)
    assertUnsafe(open, /chown 0 /)
  } else {
    assertUnsafe(() => openInstallKey('/usr', { projectPath }), /chown \d+ \/usr/)
  }
})

test('a link in the place of the folder or the file is refused', (t) => {
  const { root, folder, file, open } = places(t)
  open()
  const elsewhere = join(root, 'elsewhere')
  renameSync(folder, elsewhere)
  symlinkSync(elsewhere, folder)
  assertUnsafe(open, /rm /)
  rmSync(folder)
  renameSync(elsewhere, folder)
  const copy = join(root, 'copy.pem')
  renameSync(file, copy)
  symlinkSync(copy, file)
  assertUnsafe(open, /rm /)
})

test('a folder inside of the project is refused and not made, also when a link leads there', (t) => {
  const { root, projectPath } = places(t)
  assertUnsafe(() => openInstallKey(join(projectPath, '.ai', 'keys'), { projectPath }), /USER_SPACE/)
  assert.deepEqual(readdirSync(projectPath), [])
  symlinkSync(projectPath, join(root, 'alias'))
  assertUnsafe(() => openInstallKey(join(root, 'alias', 'keys'), { projectPath }), /USER_SPACE/)
  assertUnsafe(() => openInstallKey(join(projectPath, 'keys'), { projectPath: join(root, 'alias') }), /USER_SPACE/)
})

test('a file that holds no Ed25519 key is refused and left as it is', (t) => {
  const { file, open } = places(t)
  open()
  writeFileSync(file, 'no key')
  assertUnsafe(open, /backup/)
  assert.equal(readFileSync(file, 'utf8'), 'no key')
})

test('what a process that was killed in the middle left behind is removed', (t) => {
  const { folder, file, open } = places(t)
  const { keyId } = open()
  linkSync(file, join(folder, '.install-key.0011223344556677'))
  assert.equal(open().keyId, keyId)
  assert.deepEqual(readdirSync(folder), ['install-key.pem'])
})
