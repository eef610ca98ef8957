import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { KiwiError } from '../src/kernel/errors.ts'
import { openServeToken, rotateServeToken } from '../src/serve-token.ts'

function place(t: TestContext): { readonly userSpace: string; readonly projectPath: string } {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-token-')))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  return { userSpace: join(root, 'user'), projectPath: join(root, 'project') }
}

function assertUnsafe(act: () => unknown, told: RegExp): void {
  assert.throws(
    act,
    (error) =>
      error instanceof KiwiError && error.code === 'KEY_UNSAFE' && told.test(`${error.message} ${error.context.suggestion}`),
  )
}

test('the token is made once, of 32 random bytes, and found again', (t) => {
  const where = place(t)
  const first = openServeToken(where)
  assert.match(first.current(), /^[\w-]{43}$/u)
  assert.equal(Buffer.from(first.current(), 'base64url').length, 32)
  assert.equal(openServeToken(where).current(), first.current())
  assert.notEqual(openServeToken(place(t)).current(), first.current())
  assert.deepEqual(readdirSync(join(where.userSpace, 'keys')), ['serve-token'])
})

// Guard: the modes given in src/serve-token.ts and `openKeyFolder`.
test('threat row 39: another local user can read neither the file of the token nor its folder', (t) => {
  const { path } = openServeToken(place(t))
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(join(path, '..')).mode & 0o777, 0o700)
  // Only root can act as another user; where the tests run as one, the modes above are what there is to see.
  if (process.getuid?.() !== 0) return
  const asNobody = { uid: 65_534, gid: 65_534, stdio: 'pipe', encoding: 'utf8' } as const
  assert.throws(() => execFileSync('/bin/cat', [path], asNobody), /Permission denied/u)
})

// Guard: `readPrivateFile` in src/serve-token.ts.
test('threat row 39: a token that others can read, or that a link leads to, is not used', (t) => {
  const where = place(t)
  const { path, current } = openServeToken(where)
  current()
  chmodSync(path, 0o640)
  assertUnsafe(current, /chmod 600/u)
  assertUnsafe(() => openServeToken(where), /chmod 600/u)
  chmodSync(path, 0o600)
  assert.match(current(), /^[\w-]{43}$/u)
  rmSync(path)
  assertUnsafe(current, /is gone.*kiwi serve token/su)
  const elsewhere = join(where.userSpace, 'elsewhere')
  writeFileSync(elsewhere, `${'x'.repeat(43)}\n`, { mode: 0o600 })
  symlinkSync(elsewhere, path)
  assertUnsafe(() => openServeToken(where), /is a link/u)
})

test('a file without a token in it is no token', (t) => {
  const where = place(t)
  const { path } = openServeToken(where)
  for (const text of ['', '\n', 'short\n', `${'x'.repeat(44)}\n`, `${'é'.repeat(43)}\n`]) {
    writeFileSync(path, text)
    assertUnsafe(() => openServeToken(where), /holds no token.*--rotate/su)
  }
})

test('a rotated token replaces the old one, also for who has it open', (t) => {
  const where = place(t)
  const opened = openServeToken(where)
  const old = opened.current()
  const rotated = rotateServeToken(where)
  assert.notEqual(rotated.current(), old)
  assert.equal(opened.current(), rotated.current())
  assert.equal(readFileSync(rotated.path, 'utf8'), `${rotated.current()}\n`)
  assert.equal(statSync(rotated.path).mode & 0o777, 0o600)
})

test('a token inside of the project is refused', (t) => {
  const { projectPath } = place(t)
  assertUnsafe(() => openServeToken({ projectPath, userSpace: join(projectPath, '.ai') }), /inside of the project/u)
})
