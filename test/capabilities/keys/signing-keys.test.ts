import assert from 'node:assert/strict'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createSigningKeys, keyFolderOf, rotateInstallKey } from '../../../src/capabilities/keys/signing-keys.ts'
import { createTrustStore, type TrustedKey } from '../../../src/capabilities/keys/trust-store.ts'
import type { SignedItem } from '../../../src/kernel/contract.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { verifyEd25519 } from '../../../src/kernel/integrity/ed25519.ts'
import { createTestKeys } from '../../kernel/test-keys.ts'

const NOW_MS = Date.UTC(2026, 2, 4, 5, 6, 7)
const DIRECTIVE: SignedItem = { type: 'directive', id: 'review', toolType: null }

function places(t: TestContext) {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-trust-')))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const place = { userSpace: join(root, 'user'), projectPath: join(root, 'project') }
  mkdirSync(place.projectPath)
  const folder = keyFolderOf(place.userSpace)
  const store = createTrustStore(folder, place)
  return { place, folder, file: join(folder, 'trusted.json'), store, keys: createSigningKeys(place) }
}

function entry(keyId: string, fields: Partial<TrustedKey> = {}): TrustedKey {
  return { key_id: keyId, purpose: 'item', label: 'a colleague', added_at: '2026-01-02T03:04:05.000Z', ...fields }
}

const tool = (id: string, toolType = 'mcp_tool'): SignedItem => ({ type: 'tool', id, toolType })

test('asking whom to trust makes neither folder nor key; signing makes both', async (t) => {
  const { folder, keys } = places(t)
  assert.equal(keys.trust(createTestKeys().keyId, DIRECTIVE), 'untrusted')
  assert.throws(() => readdirSync(folder), { code: 'ENOENT' })
  const { keyId, signature } = await keys.sign(Buffer.from('x'))
  assert.equal(verifyEd25519({ keyId, message: Buffer.from('kiwi:item:v1\nx'), signature }), true)
  assert.equal(keys.trust(keyId, DIRECTIVE), 'trusted')
})

test('a key is trusted once it is added, and no longer once it is removed, by whichever process', (t) => {
  const { store, keys, place, folder, file } = places(t)
  const { keyId } = createTestKeys()
  assert.equal(keys.trust(keyId, DIRECTIVE), 'untrusted')
  // A second store stands for another process.
  createTrustStore(folder, place).update(() => [entry(keyId)])
  assert.equal(keys.trust(keyId, DIRECTIVE), 'trusted')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  store.update((known) => known.filter((key) => key.key_id !== keyId))
  assert.equal(keys.trust(keyId, DIRECTIVE), 'untrusted')
})

test('a part of a key id, or the id in another case, is another key', (t) => {
  const { store, keys } = places(t)
  const { keyId } = createTestKeys()
  store.update(() => [entry(keyId)])
  for (const other of [keyId.slice(0, 42), keyId.slice(0, 8), `${keyId}A`, keyId.toLowerCase(), '', 'none'])
    assert.equal(keys.trust(other, DIRECTIVE), 'untrusted', other)
})

test("threat row 40: a connector's key vouches for the tools of its own server and for nothing else", (t) => {
  // Without vouchesFor (trust-store.ts) a connector could sign directives, runtime tools and the tools of other servers.
  const { store, keys } = places(t)
  const { keyId } = createTestKeys()
  store.update(() => [entry(keyId, { purpose: 'connector', server: 'git' })])
  assert.equal(keys.trust(keyId, tool('git.search')), 'trusted')
  assert.equal(keys.trust(keyId, tool('git_search')), 'trusted')
  for (const item of [
    tool('github.search'),
    tool('git'),
    tool('other_git_search'),
    tool('git.search', 'runtime'),
    tool('git.search', 'http'),
    DIRECTIVE,
    { type: 'knowledge', id: 'git.search', toolType: null },
    { type: 'config', id: 'config', toolType: null },
    { type: 'directive', id: 'git.search', toolType: 'mcp_tool' },
  ] as const)
    assert.equal(keys.trust(keyId, item), 'other_purpose', JSON.stringify(item))
})

test('after a rotation the new key signs, both are accepted, and after another one the first is not', async (t) => {
  const { keys, place } = places(t)
  const first = (await keys.sign(Buffer.from('x'))).keyId
  const once = rotateInstallKey(place, NOW_MS)
  assert.deepEqual([once.retired, once.dropped], [first, []])
  assert.equal((await keys.sign(Buffer.from('x'))).keyId, once.keyId)
  assert.deepEqual([keys.trust(first, DIRECTIVE), keys.trust(once.keyId, DIRECTIVE)], ['trusted', 'trusted'])
  const twice = rotateInstallKey(place, NOW_MS)
  assert.deepEqual([twice.retired, twice.dropped], [once.keyId, [first]])
  assert.equal((await keys.sign(Buffer.from('x'))).keyId, twice.keyId)
  assert.deepEqual(
    [first, once.keyId, twice.keyId].map((keyId) => keys.trust(keyId, DIRECTIVE)),
    ['untrusted', 'trusted', 'trusted'],
  )
})

test('a rotation keeps the keys of others', (t) => {
  const { keys, store, place } = places(t)
  const { keyId } = createTestKeys()
  store.update(() => [entry(keyId)])
  rotateInstallKey(place, NOW_MS)
  rotateInstallKey(place, NOW_MS)
  assert.equal(keys.trust(keyId, DIRECTIVE), 'trusted')
})

test('a file that is not valid is an error that names the entry and the field', (t) => {
  const { store, keys, file } = places(t)
  const { keyId } = createTestKeys()
  store.update(() => [])
  const good = entry(keyId)
  for (const [text, message] of [
    ['{', /trusted\.json/],
    ['[]', /`keys` must be a list/],
    [JSON.stringify({ keys: [good, { ...good, key_id: keyId.slice(0, 10) }] }), /`keys\[1\]\.key_id` must be a whole key id/],
    [JSON.stringify({ keys: [{ ...good, purpose: 'all' }] }), /`keys\[0\]\.purpose`/],
    [JSON.stringify({ keys: [{ ...good, purpose: 'connector' }] }), /`keys\[0\]\.server`/],
    [JSON.stringify({ keys: [{ ...good, server: 'git' }] }), /`keys\[0\]\.server`/],
    [JSON.stringify({ keys: [{ ...good, added_at: 'once' }] }), /`keys\[0\]\.added_at`/],
    [JSON.stringify({ keys: [{ ...good, trusted: true }] }), /`keys\[0\]\.trusted` is not known/],
  ] as const) {
    writeFileSync(file, text)
    assert.throws(
      () => keys.trust(keyId, DIRECTIVE),
      (error) => error instanceof KiwiError && error.code === 'CONFIG_VALIDATION_ERROR' && message.test(error.message),
      text,
    )
  }
})

test('a list of trusted keys that others could write is refused', (t) => {
  const { store, keys, file } = places(t)
  const { keyId } = createTestKeys()
  store.update(() => [entry(keyId)])
  chmodSync(file, 0o666)
  const before = readFileSync(file, 'utf8')
  assert.throws(() => keys.trust(keyId, DIRECTIVE), { code: 'KEY_UNSAFE' })
  assert.throws(() => store.update(() => []), { code: 'KEY_UNSAFE' })
  assert.equal(readFileSync(file, 'utf8'), before)
})
