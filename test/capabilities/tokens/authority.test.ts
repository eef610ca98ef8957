import assert from 'node:assert/strict'
import test from 'node:test'
import type { TokenLedger } from '../../../src/capabilities/contract.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { grants, MINUTE_MS, openOffice } from './fixture.ts'

const DOCS = grants({ 'fs.read': ['docs/**'], 'kiwi-mcp.execute': true })

test('a minted token says which thread may do what, until when, and passes at the host that minted it', async (t) => {
  const office = await openOffice(t)
  const { authority } = await office.host()
  await office.spawn('one')
  const claims = await authority.mint({ threadId: 'one', directiveId: 'work', parentThreadId: null, declared: DOCS })
  const token = await authority.current('one')
  assert.deepEqual(await authority.verify(token), claims)
  assert.match(token, /^v4\.public\./)
  assert.deepEqual([claims.threadId, claims.directiveId, claims.parentJti, claims.grants], ['one', 'work', null, DOCS])
  assert.equal(claims.expiresAtMs - claims.issuedAtMs, 15 * MINUTE_MS)
})

test('a child is granted what it declares as far as its parent has it', async (t) => {
  const office = await openOffice(t)
  const { authority } = await office.host()
  await office.spawn('parent')
  await office.spawn('child', 'parent')
  const parent = await authority.mint({ threadId: 'parent', directiveId: 'work', parentThreadId: null, declared: DOCS })
  const child = await authority.mint({
    threadId: 'child',
    directiveId: 'part',
    parentThreadId: 'parent',
    declared: grants({ 'fs.read': ['**'], 'fs.write': ['**'], 'kiwi-mcp.execute': true }),
  })
  assert.equal(child.parentJti, parent.jti)
  assert.deepEqual(child.grants.capabilities, { 'fs.read': ['docs/**'], 'kiwi-mcp.execute': true })
})

test('threat row 44: a thread that declares nothing is granted nothing, whatever its parent has', async (t) => {
  // Guard: `meetGrants` in `mint`. Without it (grants = the parent's) the child has docs/**.
  const office = await openOffice(t)
  const { authority } = await office.host()
  await office.spawn('parent')
  await office.spawn('child', 'parent')
  await authority.mint({ threadId: 'parent', directiveId: 'work', parentThreadId: null, declared: DOCS })
  const declared = grants({ 'fs.read': [] })
  const child = await authority.mint({ threadId: 'child', directiveId: 'part', parentThreadId: 'parent', declared })
  assert.deepEqual(child.grants.capabilities, {})
})

test('a token is renewed in the last third of its life, with the same grants and the same parent', async (t) => {
  const office = await openOffice(t)
  const { authority } = await office.host()
  await office.spawn('one')
  const first = await authority.mint({ threadId: 'one', directiveId: 'work', parentThreadId: null, declared: DOCS })
  const token = await authority.current('one')
  office.pass(9 * MINUTE_MS)
  assert.equal(await authority.current('one'), token)
  office.pass(MINUTE_MS + 1)
  const renewed = await authority.verify(await authority.current('one'))
  assert.notEqual(renewed.jti, first.jti)
  assert.deepEqual([renewed.grants, renewed.parentJti, renewed.directiveId], [first.grants, first.parentJti, first.directiveId])
  assert.ok(renewed.expiresAtMs > first.expiresAtMs)
})

test('calls that need the next token at the same time share one renewal', async (t) => {
  const office = await openOffice(t)
  const { authority } = await office.host()
  await office.spawn('one')
  await authority.mint({ threadId: 'one', directiveId: 'work', parentThreadId: null, declared: DOCS })
  office.pass(14 * MINUTE_MS)
  const tokens = await Promise.all(Array.from({ length: 20 }, () => authority.current('one')))
  assert.equal(new Set(tokens).size, 1)
  assert.equal(office.store.statement('SELECT COUNT(*) AS n FROM tokens').get()?.['n'], 2)
})

test('while a renewal cannot be written down, the token that still holds goes on being used', async (t) => {
  const office = await openOffice(t)
  let isFull = false
  const add: TokenLedger['add'] = (row) => {
    if (isFull) throw Object.assign(new Error('database or disk is full'), { errcode: 13 })
    office.ledger.add(row)
  }
  const { authority } = await office.host({ ledger: { ...office.ledger, add } })
  await office.spawn('one')
  await authority.mint({ threadId: 'one', directiveId: 'work', parentThreadId: null, declared: DOCS })
  const token = await authority.current('one')
  isFull = true
  office.pass(14 * MINUTE_MS)
  assert.equal(await authority.current('one'), token)
  office.pass(MINUTE_MS)
  await assert.rejects(authority.current('one'), /disk is full/)
  isFull = false
  assert.notEqual(await authority.current('one'), token)
})

test('the next host run gives a running thread a token of its own, even when the last one expired long ago', async (t) => {
  const office = await openOffice(t)
  const first = await office.host()
  await office.spawn('one')
  const minted = await first.authority.mint({ threadId: 'one', directiveId: 'work', parentThreadId: null, declared: DOCS })
  office.pass(24 * 60 * MINUTE_MS)
  const second = await office.host()
  const renewed = await second.authority.verify(await second.authority.current('one'))
  assert.deepEqual(renewed.grants, minted.grants)
  assert.equal(office.ledger.latest('one')?.keyId, second.runKey.keyId)
})

for (const [status, standing] of [
  ['paused', 'stopped'],
  ['waiting', 'stopped'],
  ['completed', 'ended'],
  ['error', 'ended'],
  ['cancelled', 'cancelled'],
] as const) {
  test(`no token is renewed for a thread that is ${status}`, async (t) => {
    const office = await openOffice(t)
    const { authority } = await office.host()
    await office.spawn('one')
    await authority.mint({ threadId: 'one', directiveId: 'work', parentThreadId: null, declared: DOCS })
    office.pass(14 * MINUTE_MS)
    office.setStatus('one', status)
    await assert.rejects(authority.current('one'), (error: unknown) => {
      assert.ok(error instanceof KiwiError)
      assert.deepEqual([error.code, error.context.facts?.['standing']], ['TOKEN_INVALID', standing])
      return true
    })
  })
}

test('a thread that was never given a token has none, and the error says what to do', async (t) => {
  const office = await openOffice(t)
  const { authority } = await office.host()
  await office.spawn('one')
  await assert.rejects(authority.current('one'), /has no capability token.*none was minted/)
})

test('a second minting for the same thread never widens the first', async (t) => {
  const office = await openOffice(t)
  const { authority } = await office.host()
  await office.spawn('one')
  const request = { threadId: 'one', directiveId: 'work', parentThreadId: null }
  await authority.mint({ ...request, declared: DOCS })
  const again = await authority.mint({ ...request, declared: grants({ 'fs.read': ['**'], 'fs.write': ['**'] }) })
  assert.deepEqual(again.grants.capabilities, { 'fs.read': ['docs/**'] })
})

test('nothing is minted for a thread that was cancelled before it began', async (t) => {
  const office = await openOffice(t)
  const { authority } = await office.host()
  await office.spawn('one')
  await office.threads.signal('one', { id: 'c', kind: 'cancel', body: {} })
  const request = { threadId: 'one', directiveId: 'work', parentThreadId: null, declared: DOCS }
  await assert.rejects(authority.mint(request), /it was cancelled/)
})
