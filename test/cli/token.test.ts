import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Grants } from '../../src/capabilities/contract.ts'
import { openInstallKey } from '../../src/capabilities/keys/install-key.ts'
import { keyFolderOf } from '../../src/capabilities/keys/signing-keys.ts'
import { audienceOf, createTokenAuthority } from '../../src/capabilities/tokens/authority.ts'
import { createRunKey } from '../../src/capabilities/tokens/run-key.ts'
import type { TokenChain } from '../../src/capabilities/tokens/token-chain.ts'
import { createThreadsClient } from '../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../src/threads/clock.ts'
import { openStore } from '../../src/threads/store/open-store.ts'
import { grants, VOCABULARY } from '../capabilities/tokens/fixture.ts'
import { request, tempFolder } from '../threads/fixture.ts'
import { type Finished, kiwi } from './kiwi-process.ts'

interface Place {
  readonly project: string
  readonly userSpace: string
  readonly verify: (...args: string[]) => Promise<Finished>
}

/** A project whose registry has `parent`, `child` (which asked for more than its parent has), and `bare` without a token. */
async function projectWithTokens(t: TestContext): Promise<Place> {
  const root = realpathSync(tempFolder(t))
  const project = join(root, 'project')
  const userSpace = join(root, 'user')
  mkdirSync(project)
  const store = openStore({ path: registryOf(project) })
  const client = { projectPath: project, store, ownsStore: false, clock: systemClock, watchLive: async () => undefined }
  const threads = createThreadsClient({ ...client, wake: async () => undefined })
  const authority = createTokenAuthority({
    ledger: threads.tokens,
    runKey: await createRunKey(Date.now),
    installKey: openInstallKey(keyFolderOf(userSpace), { projectPath: project }),
    audience: audienceOf(project),
    vocabulary: async () => VOCABULARY,
    now: Date.now,
  })
  const mint = async (threadId: string, parentThreadId: string | null, declared: Grants): Promise<void> => {
    await threads.spawn(request(threadId, { parentThreadId }))
    await authority.mint({ threadId, directiveId: 'work', parentThreadId, declared })
  }
  await mint('parent', null, grants({ 'fs.read': ['docs/**'], 'kiwi-mcp.execute': true }))
  await mint('child', 'parent', grants({ 'fs.read': ['**'], 'fs.write': ['**'], 'kiwi-mcp.execute': true }))
  await threads.spawn(request('bare'))
  await store.close()
  const env = { HOME: root, USER_SPACE: userSpace }
  return { project, userSpace, verify: (...args) => kiwi(['-C', project, 'token', 'verify', ...args], { cwd: root, env }) }
}

const registryOf = (project: string): string => join(project, '.ai', 'threads', 'registry.db')

test('kiwi token verify shows a chain of tokens and that each lies within its parent', async (t) => {
  const { verify } = await projectWithTokens(t)
  const { code, stdout, stderr } = await verify('child')
  assert.equal(code, 0, stderr)
  const lines = stdout.split('\n').map((line) => line.replaceAll(/ +/g, ' ').trim())
  for (const line of [
    'thread child',
    'thread parent',
    'directive work',
    'capabilities fs.read "docs/**"',
    'kiwi-mcp.execute',
    'within parent yes',
  ])
    assert.ok(lines.includes(line), `${line} is not in\n${stdout}`)
  assert.ok(lines.includes('within parent no parent: spawned by the operator'))
  assert.equal(lines.filter((line) => /^signed by run key \S{22}, certified by install key \S{43}$/.test(line)).length, 2)
  assert.equal(lines.at(-2), 'proven: all 2 tokens are signed, and none grants more than its parent')
  assert.doesNotMatch(stdout, /v4\.public|fs\.write/)
})

test('kiwi token verify gives the chain as JSON, and takes the id of a token too', async (t) => {
  const { verify } = await projectWithTokens(t)
  const chain = JSON.parse((await verify('child', '-o', 'json')).stdout) as TokenChain
  assert.deepEqual([chain.proven, chain.reason, chain.links.map((link) => link.thread_id)], [true, null, ['child', 'parent']])
  const { code, stdout } = await verify(chain.links[1]?.jti ?? '', '-o', 'json')
  assert.deepEqual([code, (JSON.parse(stdout) as TokenChain).links.length], [0, 1])
})

test('kiwi token verify needs no host and starts none', async (t) => {
  const { verify, userSpace } = await projectWithTokens(t)
  assert.equal((await verify('parent')).code, 0)
  assert.equal(readdirSync(userSpace).includes('host'), false)
})

test('kiwi token verify exits with 3 and the reason when a token was changed', async (t) => {
  const { verify, project } = await projectWithTokens(t)
  const store = openStore({ path: registryOf(project) })
  store.statement("UPDATE tokens SET parent_jti = NULL WHERE thread_id = 'child'").run()
  await store.close()
  const { code, stdout } = await verify('child')
  assert.equal(code, 3)
  assert.match(stdout, /NOT proven: token \S+ of thread child: its row tells other things than the token/)
})

test('kiwi token verify does not believe the key of another installation', async (t) => {
  const { project } = await projectWithTokens(t)
  const root = realpathSync(tempFolder(t))
  const env = { HOME: root, USER_SPACE: join(root, 'user') }
  const { code, stdout } = await kiwi(['-C', project, 'token', 'verify', 'parent', '-o', 'json'], { cwd: root, env })
  assert.equal(code, 3)
  assert.match((JSON.parse(stdout) as TokenChain).reason ?? '', /an install key that is not trusted here/)
})

test('kiwi token verify tells a thread without a token from one that does not exist', async (t) => {
  const { verify } = await projectWithTokens(t)
  const bare = await verify('bare')
  assert.deepEqual([bare.code, bare.stdout], [3, 'NOT proven: thread bare has no token\n'])
  const nobody = await verify('nobody')
  assert.equal(nobody.code, 1)
  assert.match(nobody.stderr, /THREAD_NOT_FOUND/)
})
