import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { type ConnectorKeys, createConnectorKeys } from '../../../src/capabilities/keys/connector-keys.ts'
import { createSigningKeys } from '../../../src/capabilities/keys/signing-keys.ts'
import { createTrustStore, type TrustStore } from '../../../src/capabilities/keys/trust-store.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { checkIntegrity, signBytes } from '../../../src/kernel/integrity/signature.ts'

const MODULE = new URL('../../../src/capabilities/keys/connector-keys.ts', import.meta.url).href
const TOOL = { type: 'tool', id: 'github_search', toolType: 'mcp_tool' } as const

function place(t: TestContext): {
  readonly userSpace: string
  readonly projectPath: string
  readonly folder: string
  readonly keys: ConnectorKeys
  readonly store: TrustStore
} {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-connector-keys-')))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const projectPath = join(root, 'project')
  mkdirSync(projectPath)
  const userSpace = join(root, 'home', '.ai')
  const folder = join(userSpace, 'keys')
  const keys = createConnectorKeys({ userSpace, projectPath, now: () => Date.UTC(2026, 0, 2) })
  return { userSpace, projectPath, folder, keys, store: createTrustStore(folder, { projectPath }) }
}

const codeOf = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    return error instanceof KiwiError ? error.code : error
  }
  return null
}

test('the key of a server is made once, for its owner only, and is trusted for that server', (t) => {
  const { keys, folder, store } = place(t)
  const { keyId } = keys.open('github')
  assert.equal(keys.open('github').keyId, keyId)
  assert.equal(statSync(join(folder, 'connector-github.pem')).mode & 0o777, 0o600)
  assert.deepEqual(store.keys(), [
    {
      key_id: keyId,
      purpose: 'connector',
      server: 'github',
      label: 'kiwi connect, this installation',
      added_at: '2026-01-02T00:00:00.000Z',
    },
  ])
  assert.notEqual(keys.open('gitlab').keyId, keyId)
  assert.deepEqual(keys.servers(), ['github', 'gitlab'])
})

test('what the key signed holds for the kernel, as an item', async (t) => {
  const { keys } = place(t)
  const key = keys.open('github')
  const subject = { type: 'tool', category: 'mcp/github', id: 'github_search' } as const
  const signed = await signBytes(Buffer.from('tool_id: github_search\n'), 'yaml', { nowMs: 0, subject, keys: key })
  const integrity = checkIntegrity(signed, 'yaml', subject)
  assert.equal(integrity.kind, 'signed')
  assert.equal('keyId' in integrity && integrity.keyId, key.keyId)
})

// Fails when `vouchesFor` does not compare the server, or takes any type of tool.
test('threat row 32: the key of a server vouches for its own tools and for nothing else', (t) => {
  const { keys, userSpace, projectPath } = place(t)
  const { keyId } = keys.open('github')
  const signing = createSigningKeys({ userSpace, projectPath })
  assert.equal(signing.trust(keyId, TOOL), 'trusted')
  assert.equal(signing.trust(keyId, { ...TOOL, id: 'gitlab_search' }), 'other_purpose')
  assert.equal(signing.trust(keyId, { ...TOOL, id: 'bash' }), 'other_purpose')
  assert.equal(signing.trust(keyId, { ...TOOL, toolType: 'runtime' }), 'other_purpose')
  assert.equal(signing.trust(keyId, { type: 'directive', id: 'github_search', toolType: null }), 'other_purpose')
  assert.equal(signing.trust(keyId, { type: 'config', id: 'github_config', toolType: null }), 'other_purpose')
})

test('a key that the user trusts no longer is not trusted again', (t) => {
  const { keys, store } = place(t)
  const { keyId } = keys.open('github')
  store.update(() => [])
  assert.equal(
    codeOf(() => keys.open('github')),
    'ITEM_KEY_UNTRUSTED',
  )
  assert.equal(keys.find('github'), keyId)
  assert.deepEqual(store.keys(), [])
})

test('a removed key is trusted no longer, and those of others stay', (t) => {
  const { keys, store, folder, userSpace, projectPath } = place(t)
  const { keyId } = keys.open('github')
  keys.open('gitlab')
  assert.equal(keys.remove('github'), true)
  assert.equal(keys.remove('github'), false)
  assert.equal(keys.find('github'), null)
  assert.deepEqual(keys.servers(), ['gitlab'])
  assert.equal(createSigningKeys({ userSpace, projectPath }).trust(keyId, TOOL), 'untrusted')
  assert.equal(store.keys().length, 1)
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.pem')),
    ['connector-gitlab.pem'],
  )
})

test('a text that cannot name a server names no file', (t) => {
  const { keys, userSpace } = place(t)
  for (const name of ['', '../x', 'a/b', 'Upper', '.hidden', 'a b', 'x'.repeat(65)]) {
    for (const use of [() => keys.open(name), () => keys.find(name), () => keys.remove(name)])
      assert.equal(codeOf(use), 'INVALID_REQUEST', name)
  }
  assert.deepEqual(readdirSync(join(userSpace, '..', '..')), ['project'])
})

test('a file that holds no key is refused', (t) => {
  const { keys, folder } = place(t)
  keys.open('github')
  writeFileSync(join(folder, 'connector-github.pem'), 'no key')
  assert.equal(
    codeOf(() => keys.open('github')),
    'KEY_UNSAFE',
  )
})

test('processes that make keys at the same moment lose none, and trust one for each server', async (t) => {
  const { userSpace, projectPath, keys, store } = place(t)
  const servers = ['one', 'one', 'two', 'three']
  const script = join(projectPath, 'open.ts')
  writeFileSync(
    script,
    `import { createConnectorKeys } from ${JSON.stringify(MODULE)}
     process.stdin.once('data', () => {
       const keys = createConnectorKeys(${JSON.stringify({ userSpace, projectPath }).slice(0, -1)}, now: () => 0 })
       console.log(keys.open(process.argv[2]).keyId)
       process.exit(0)
     })
     console.log('ready')`,
  )
  const children = servers.map((server) => spawn(process.execPath, [script, server], { stdio: ['pipe', 'pipe', 'inherit'] }))
  t.after(() => children.forEach((child) => child.kill('SIGKILL')))
  await Promise.all(children.map(async (child) => await once(child.stdout, 'data', { signal: AbortSignal.timeout(30_000) })))
  const ends = children.map(async (child) => await once(child, 'close', { signal: AbortSignal.timeout(30_000) }))
  for (const child of children) child.stdin.write('go\n')
  assert.deepEqual(
    (await Promise.all(ends)).map(([code]) => code as unknown),
    [0, 0, 0, 0],
  )
  assert.deepEqual(keys.servers().toSorted(), ['one', 'three', 'two'])
  for (const { key_id: keyId, server } of store.keys()) assert.equal(keys.find(server ?? ''), keyId)
})
