import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type TestContext } from 'node:test'
import type { RunKeyRow, TokenLedger, TokenRow } from '../../../src/capabilities/contract.ts'
import { createThreadsClient } from '../../../src/threads/client/create-threads-client.ts'
import { createLazyThreadsClient } from '../../../src/threads/client/lazy-threads-client.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import { openStore, type Store } from '../../../src/threads/store/open-store.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { createTokenLedger } from '../../../src/threads/tokens/token-ledger.ts'
import { makeOld } from '../store/old-registry.ts'
import { atEnd, request, signal, tempFolder } from '../fixture.ts'

const KEY: RunKeyRow = { keyId: 'k1', publicKey: 'public', certifiedBy: 'install', certificate: 'signed', createdAtMs: 1 }

function row(change: Partial<TokenRow> = {}): TokenRow {
  return {
    jti: 'j1',
    parentJti: null,
    threadId: 'one',
    keyId: 'k1',
    issuedAtMs: 5,
    expiresAtMs: 10,
    token: 'v4.public.x',
    ...change,
  }
}

function client(store: Store, ownsStore = false): ThreadsClient {
  return createThreadsClient({
    projectPath: '/nowhere',
    store,
    ownsStore,
    clock: systemClock,
    wake: async () => undefined,
    watchLive: async () => undefined,
  })
}

async function opened(t: TestContext): Promise<{ path: string; store: Store; threads: ThreadsClient; ledger: TokenLedger }> {
  const path = join(tempFolder(t), '.ai', 'threads', 'registry.db')
  const store = openStore({ path })
  atEnd(t, () => store.close())
  const threads = client(store)
  await threads.spawn(request('one'))
  return { path, store, threads, ledger: threads.tokens }
}

test('a token and its key are in the file when the write returns, as they were given', async (t) => {
  const { path, ledger } = await opened(t)
  ledger.addKey(KEY)
  ledger.add(row())
  const other = openStore({ path })
  atEnd(t, () => other.close())
  const seen = createTokenLedger(other)
  assert.deepEqual([seen.key('k1'), seen.get('j1'), seen.latest('one')], [KEY, row(), row()])
  assert.deepEqual([seen.key('k2'), seen.get('j2'), seen.latest('two')], [undefined, undefined, undefined])
})

test('of the expired tokens of a thread the first, the newest and those of its children’s parents are kept', async (t) => {
  const { threads, ledger } = await opened(t)
  await threads.spawn(request('two', { parentThreadId: 'one' }))
  ledger.addKey(KEY)
  const jtis = ['j1', 'j2', 'j3', 'j4', 'j5']
  for (const [index, jti] of jtis.entries()) {
    ledger.add(row({ jti, issuedAtMs: 10 * index, expiresAtMs: 10 * index + 15 }))
    if (jti === 'j2') ledger.add(row({ jti: 'child', threadId: 'two', parentJti: 'j2', issuedAtMs: 11, expiresAtMs: 20 }))
  }
  // j4 has not expired when j5 is written.
  assert.deepEqual(
    [...jtis, 'child'].filter((jti) => ledger.get(jti) === undefined),
    ['j3'],
  )
})

test('the newest token of a thread is the one that was written last, whatever its times say', async (t) => {
  const { ledger } = await opened(t)
  ledger.addKey(KEY)
  ledger.add(row({ issuedAtMs: 100, expiresAtMs: 200 }))
  ledger.add(row({ jti: 'j2', parentJti: 'j1', issuedAtMs: 50, expiresAtMs: 60 }))
  assert.equal(ledger.latest('one')?.jti, 'j2')
})

test('a run key is recorded once, and never replaced under its id', async (t) => {
  const { ledger } = await opened(t)
  ledger.addKey(KEY)
  ledger.addKey({ ...KEY, publicKey: 'another' })
  assert.equal(ledger.key('k1')?.publicKey, 'public')
})

test('a token of no thread, of no key or with a taken id is not written', async (t) => {
  const { ledger } = await opened(t)
  assert.throws(() => ledger.add(row()), /FOREIGN KEY/)
  ledger.addKey(KEY)
  assert.throws(() => ledger.add(row({ threadId: 'nobody' })), /FOREIGN KEY/)
  ledger.add(row())
  assert.throws(() => ledger.add(row()), /UNIQUE/)
  assert.equal(ledger.latest('one')?.jti, 'j1')
})

test('a token that is added inside of a commit comes and goes with it', async (t) => {
  const { store, ledger } = await opened(t)
  ledger.addKey(KEY)
  const failing = store.commit(() => {
    ledger.add(row())
    throw new Error('changed my mind')
  })
  await assert.rejects(failing, /changed my mind/)
  assert.equal(ledger.get('j1'), undefined)
  await store.commit(() => ledger.add(row()))
  assert.equal(ledger.get('j1')?.jti, 'j1')
})

for (const [status, expected] of [
  ['spawning', 'live'],
  ['running', 'live'],
  ['paused', 'stopped'],
  ['waiting', 'stopped'],
  ['completed', 'ended'],
  ['error', 'ended'],
  ['cancelled', 'cancelled'],
] as const) {
  test(`a thread that is ${status} stands ${expected}`, async (t) => {
    const { store, ledger } = await opened(t)
    store.statement('UPDATE threads SET status = ?').run(status)
    assert.equal(ledger.standing('one'), expected)
  })
}

test('a thread that the registry does not know stands unknown', async (t) => {
  const { ledger } = await opened(t)
  assert.equal(ledger.standing('nobody'), 'unknown')
})

test('threat row 43: with a cancel of the parent every thread below is cancelled at once, in every process', async (t) => {
  // Guard: `cancel_mode` in `standing`. By the status alone the child would stay live until its host comes to it.
  const { path, threads, store } = await opened(t)
  await threads.spawn(request('child', { parentThreadId: 'one' }))
  await threads.spawn(request('grandchild', { parentThreadId: 'child' }))
  await threads.spawn(request('stranger'))
  const other = openStore({ path })
  atEnd(t, () => other.close())
  const elsewhere = createTokenLedger(other)
  store.statement("UPDATE threads SET status = 'running'").run()
  assert.equal(elsewhere.standing('grandchild'), 'live')
  await threads.signal('one', signal('cancel'))
  assert.deepEqual(
    ['one', 'child', 'grandchild', 'stranger'].map((threadId) => elsewhere.standing(threadId)),
    ['cancelled', 'cancelled', 'cancelled', 'live'],
  )
})

const CHAIN_COLUMNS = ['max_live', 'chain_id', 'continues_thread_id', 'continues_how', 'continued_by', 'on_parent_end']

/** Takes away what version 3 added. */
const TO_VERSION_2 = [
  'DROP TABLE approvals',
  'DROP INDEX threads_by_chain',
  ...CHAIN_COLUMNS.map((name) => `ALTER TABLE threads DROP COLUMN ${name}`),
].join(';')

test('a registry of version 1 gets the tables of tokens and keeps its threads', async (t) => {
  const { path, store } = await opened(t)
  await store.close()
  const old = new DatabaseSync(path)
  old.exec(`${TO_VERSION_2}; DROP TABLE tokens; DROP TABLE token_keys; PRAGMA user_version=1`)
  old.close()
  const again = openStore({ path })
  atEnd(t, () => again.close())
  const threads = client(again)
  threads.tokens.addKey(KEY)
  threads.tokens.add(row())
  assert.equal(threads.get('one').directive_id, 'work')
  assert.equal(threads.tokens.standing('one'), 'live')
  assert.equal(again.statement('PRAGMA user_version').get()?.['user_version'], 3)
})

test('a registry that was upgraded has the same tables as a new one', async (t) => {
  const { path, store } = await opened(t)
  // The text of a table remembers how it came about.
  const tables = (from: Store): unknown =>
    from
      .statement('SELECT type, name, sql FROM sqlite_schema ORDER BY name')
      .all()
      .map(({ sql, ...entry }) => ({ ...entry, sql: String(sql).replaceAll(/\s+/g, '') }))
  const fresh = tables(store)
  await store.close()
  const old = new DatabaseSync(path)
  old.exec(`${TO_VERSION_2}; DROP TABLE tokens; DROP TABLE token_keys; PRAGMA user_version=1`)
  old.close()
  const again = openStore({ path })
  atEnd(t, () => again.close())
  assert.deepEqual(tables(again), fresh)
})

test('an upgrade that fails half way leaves the registry of version 1 as it was', async (t) => {
  const { path, store } = await opened(t)
  await store.close()
  makeOld(path, 1)
  const old = new DatabaseSync(path)
  // `token_keys` can be made, `tokens` cannot.
  old.exec('CREATE TABLE tokens (n)')
  old.close()
  assert.throws(() => openStore({ path }), /already exists/)
  const after = new DatabaseSync(path)
  atEnd(t, () => after.close())
  const names = after.prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'token%'").all()
  assert.deepEqual(
    names.map((found) => found['name']),
    ['tokens'],
  )
  assert.equal(after.prepare('PRAGMA user_version').get()?.['user_version'], 1)
})

test('asking for tokens where there is no registry makes none', (t) => {
  const registryPath = join(tempFolder(t), '.ai', 'threads', 'registry.db')
  const threads = createLazyThreadsClient({
    projectPath: '/nowhere',
    registryPath,
    open: (path) => client(openStore({ path }), true),
  })
  atEnd(t, () => threads.close())
  const { tokens } = threads
  assert.deepEqual([tokens.latest('one'), tokens.get('j1'), tokens.key('k1')], [undefined, undefined, undefined])
  assert.equal(tokens.standing('one'), 'unknown')
  assert.equal(existsSync(registryPath), false)
})
