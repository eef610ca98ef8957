import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openInstallKey } from '../../src/capabilities/keys/install-key.ts'
import { signBytes } from '../../src/kernel/integrity/signature.ts'
import { createTestKeys } from '../kernel/test-keys.ts'
import { type Finished, kiwi } from './kiwi-process.ts'

function person(t: TestContext) {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-trust-')))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const project = join(root, 'project')
  mkdirSync(join(project, '.ai', 'knowledge'), { recursive: true })
  const userSpace = join(root, 'user')
  const run = async (...args: string[]): Promise<Finished> =>
    await kiwi(args, { cwd: project, env: { HOME: join(root, 'home'), USER_SPACE: userSpace } })
  const json = async (...args: string[]): Promise<Readonly<Record<string, unknown>>> => {
    const { stdout, stderr } = await run(...args, '-o', 'json')
    try {
      return JSON.parse(stdout) as Readonly<Record<string, unknown>> // every verb prints one object
    } catch {
      throw new Error(`no JSON: ${stdout}${stderr}`)
    }
  }
  const note = async (id: string, keys?: ReturnType<typeof createTestKeys>): Promise<void> => {
    const bytes = Buffer.from('---\ntitle: A\n---\ntext\n')
    const subject = { type: 'knowledge', category: '', id } as const
    const signed = keys === undefined ? bytes : await signBytes(bytes, 'markdown', { nowMs: 0, subject, keys })
    writeFileSync(join(project, '.ai', 'knowledge', `${id}.md`), signed)
  }
  return { project, userSpace, run, json, note }
}

test('kiwi trust add, list and remove decide whose signatures count', async (t) => {
  const { run, json, note } = person(t)
  const author = createTestKeys()
  await note('theirs', author)
  const refused = await run('execute', 'knowledge', 'theirs')
  assert.match(refused.stderr, new RegExp(`ITEM_KEY_UNTRUSTED[^]*kiwi trust add ${author.keyId}`))
  assert.equal((await run('trust', 'add', author.keyId, '--label', 'the author')).code, 0)
  assert.equal((await run('execute', 'knowledge', 'theirs')).code, 0)
  const listed = (await json('trust', 'list'))['keys'] as readonly Record<string, unknown>[]
  assert.deepEqual(
    listed.map(({ key_id: key, purpose, label }) => [key, purpose, label]),
    [[author.keyId, 'item', 'the author']],
  )
  assert.match((await run('trust', 'list')).stdout, new RegExp(`items +${author.keyId} +the author`))
  assert.equal((await run('trust', 'remove', author.keyId)).code, 0)
  assert.match((await run('execute', 'knowledge', 'theirs')).stderr, /ITEM_KEY_UNTRUSTED/)
})

test('kiwi trust takes whole keys only, and neither adds nor removes the own one', async (t) => {
  const { json, run } = person(t)
  const { keyId } = createTestKeys()
  const codeOf = async (...args: string[]): Promise<unknown> =>
    ((await json(...args))['error'] as { readonly code: string } | undefined)?.code
  assert.equal(await codeOf('trust', 'add', keyId.slice(0, 12)), 'INVALID_REQUEST')
  assert.equal(await codeOf('trust', 'remove', keyId), 'INVALID_REQUEST')
  assert.equal(await codeOf('trust', 'add', keyId, '--connector', 'No Name'), 'INVALID_REQUEST')
  const own = String((await json('trust', 'show'))['key_id'])
  assert.equal(await codeOf('trust', 'add', own), 'INVALID_REQUEST')
  assert.equal(await codeOf('trust', 'remove', own), 'INVALID_REQUEST')
  assert.equal((await run('trust', 'add', keyId, '--connector', 'github')).code, 0)
  assert.match((await run('trust', 'list')).stdout, new RegExp(`tools of github +${keyId}`))
})

test('kiwi trust project tells who signed what, and runs nothing', async (t) => {
  const { project, json, run, note } = person(t)
  const author = createTestKeys()
  await note('theirs', author)
  await note('mine')
  await note('nobodys')
  assert.equal((await run('sign', 'knowledge', 'mine')).code, 0)
  writeFileSync(join(project, '.ai', 'config.yaml'), 'host: { idle_exit_seconds: 5 }\n')
  assert.equal((await run('sign', 'config')).code, 0)
  const { keys, unsigned } = (await json('trust', 'project')) as {
    readonly keys: readonly {
      readonly key_id: string
      readonly trust: string
      readonly items: readonly { readonly id: string }[]
    }[]
    readonly unsigned: readonly { readonly id: string; readonly reason: string }[]
  }
  const own = String((await json('trust', 'show'))['key_id'])
  assert.deepEqual(
    keys.map(({ key_id: key, trust, items }) => [key, trust, items.map(({ id }) => id)]),
    [
      [own, 'trusted', ['config', 'mine']],
      [author.keyId, 'untrusted', ['theirs']],
    ],
  )
  assert.deepEqual(
    unsigned.map(({ id, reason }) => [id, reason]),
    [['nobodys', 'unsigned']],
  )
  assert.match((await run('trust', 'project')).stdout, new RegExp(`kiwi trust add ${author.keyId}`))
})

test('kiwi trust rotate signs with a new key, and names what must be signed again', async (t) => {
  const { json, run, note } = person(t)
  await note('mine')
  assert.equal((await run('sign', 'knowledge', 'mine')).code, 0)
  const first = await json('trust', 'rotate')
  assert.deepEqual(first['sign_again'], [])
  assert.equal((await run('execute', 'knowledge', 'mine')).code, 0)
  const second = await json('trust', 'rotate')
  assert.deepEqual(second['dropped'], [first['retired']])
  assert.deepEqual(second['sign_again'], [{ type: 'knowledge', id: 'mine', file: '.ai/knowledge/mine.md' }])
  assert.match((await run('execute', 'knowledge', 'mine')).stderr, /ITEM_KEY_UNTRUSTED/)
  assert.equal((await run('sign', 'knowledge', 'mine')).code, 0)
  assert.equal((await run('execute', 'knowledge', 'mine')).code, 0)
})

test('with keys that others can read nothing is signed, and the message has the command that mends it', async (t) => {
  const { project, userSpace, run, note } = person(t)
  await note('mine')
  openInstallKey(join(userSpace, 'keys'), { projectPath: project })
  chmodSync(join(userSpace, 'keys'), 0o755)
  const { code, stderr } = await run('sign', 'knowledge', 'mine')
  assert.equal(code, 1)
  assert.match(stderr, /KEY_UNSAFE[^]*chmod 700 .*keys/)
})
