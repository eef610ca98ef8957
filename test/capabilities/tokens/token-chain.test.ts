import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import type { Grants, TokenRow } from '../../../src/capabilities/contract.ts'
import { openInstallKey } from '../../../src/capabilities/keys/install-key.ts'
import { issuerOf } from '../../../src/capabilities/tokens/prove-token.ts'
import { certifyRunKey, createRunKey } from '../../../src/capabilities/tokens/run-key.ts'
import { type TokenChain, verifyTokenChain } from '../../../src/capabilities/tokens/token-chain.ts'
import { sealToken } from '../../../src/capabilities/tokens/token-format.ts'
import { tempFolder } from '../../threads/fixture.ts'
import { AUDIENCE, grants, MINUTE_MS, type Office, openOffice, VOCABULARY } from './fixture.ts'

/** A parent with docs, a child and a grandchild, each asking for everything. */
async function family(t: TestContext): Promise<Office> {
  const office = await openOffice(t)
  const { authority } = await office.host()
  const everything = grants({ 'fs.read': ['**'], 'tool.execute': ['*'] })
  const declared: Readonly<Record<string, Grants>> = { parent: grants({ 'fs.read': ['docs/**'], 'tool.execute': ['read_*'] }) }
  for (const [threadId, parentThreadId] of [
    ['parent', null],
    ['child', 'parent'],
    ['grandchild', 'child'],
  ] as const) {
    await office.spawn(threadId, parentThreadId)
    await authority.mint({ threadId, directiveId: 'work', parentThreadId, declared: declared[threadId] ?? everything })
  }
  return office
}

function prove(office: Office, id: string, trustedKeyIds = [office.installKey.keyId], audience = AUDIENCE): Promise<TokenChain> {
  return verifyTokenChain(office.ledger, id, { trustedKeyIds, audience, vocabulary: VOCABULARY })
}

/** Records a token for the thread that the host's own keys signed, with whatever grants. */
async function plant(office: Office, threadId: string, planted: { grants: Grants; parentJti: string | null }): Promise<TokenRow> {
  const runKey = await createRunKey(() => office.clock.wallMs)
  office.ledger.addKey(certifyRunKey(runKey, office.installKey))
  const issuedAtMs = office.clock.wallMs
  const claims = {
    jti: `planted-${threadId}`,
    threadId,
    directiveId: 'work',
    ...planted,
    issuedAtMs,
    expiresAtMs: issuedAtMs + MINUTE_MS,
  }
  const token = await sealToken(claims, runKey, { issuer: issuerOf(office.installKey.keyId), audience: AUDIENCE })
  const { grants: _grants, directiveId: _directiveId, ...row } = claims
  office.ledger.add({ ...row, keyId: runKey.keyId, token })
  return { ...row, keyId: runKey.keyId, token }
}

test('a chain is proven from a thread up to the operator, with what each link grants', async (t) => {
  const office = await family(t)
  const chain = await prove(office, 'grandchild')
  assert.deepEqual([chain.proven, chain.reason], [true, null])
  assert.deepEqual(
    chain.links.map((link) => [link.thread_id, link.within_parent, link.grants?.capabilities['tool.execute']]),
    [
      ['grandchild', true, ['read_*']],
      ['child', true, ['read_*']],
      ['parent', null, ['read_*']],
    ],
  )
  assert.ok(chain.links.every(({ install_key: key }) => key === office.installKey.keyId))
})

test('a chain is proven by the id of a token too, and after the tokens have expired', async (t) => {
  const office = await family(t)
  const jti = office.ledger.latest('child')?.jti ?? ''
  office.pass(60 * MINUTE_MS)
  const chain = await prove(office, jti)
  assert.deepEqual([chain.proven, chain.links.length], [true, 2])
})

test('an id that no token has proves nothing', async (t) => {
  const office = await family(t)
  assert.deepEqual(await prove(office, 'nobody'), { proven: false, reason: 'no token has this id', links: [] })
})

test('threat row 43: a child token that is wider than its parent is not proven, although the right keys signed it', async (t) => {
  // Guard: `coversGrants` in `verifyLink`. Without it the chain is proven by its signatures alone.
  const office = await family(t)
  const parentJti = office.ledger.latest('parent')?.jti ?? ''
  await plant(office, 'child', { grants: grants({ 'fs.read': ['**'] }), parentJti })
  const chain = await prove(office, 'child')
  assert.equal(chain.proven, false)
  assert.match(chain.reason ?? '', /planted-child of thread child: it grants more than its parent token/)
  assert.equal(chain.links[0]?.within_parent, false)
})

test('threat row 43: rules of a child that leave out those of its parent are wider, and not proven', async (t) => {
  // Guard: `coversGrants` compares the beginnings of the lists.
  const office = await family(t)
  const denied = { allowCategories: null, denyCategories: ['secret'], allowIds: null, denyIds: [] }
  const parent = await plant(office, 'parent', { grants: grants({}, { knowledge: [denied] }), parentJti: null })
  await plant(office, 'child', { grants: grants({}), parentJti: parent.jti })
  assert.match((await prove(office, 'child')).reason ?? '', /it grants more than its parent token/)
})

test('threat row 43: a chain of another installation or project is not proven', async (t) => {
  // Guard: `runKeyProblem` and the audience of `openToken`.
  const office = await family(t)
  const stranger = openInstallKey(join(tempFolder(t), 'keys'), { projectPath: '/nowhere' })
  const reasons = [
    (await prove(office, 'child', [stranger.keyId])).reason,
    (await prove(office, 'child', [])).reason,
    (await prove(office, 'child', undefined, 'kiwi:project:other')).reason,
  ]
  assert.match(reasons[0] ?? '', /an install key that is not trusted here/)
  assert.match(reasons[1] ?? '', /an install key that is not trusted here/)
  assert.match(reasons[2] ?? '', /Unexpected "aud" claim/)
})

test('a chain that begins before the install key was rotated is proven while the old key is accepted', async (t) => {
  const office = await family(t)
  const rotated = openInstallKey(join(tempFolder(t), 'keys'), { projectPath: '/nowhere' })
  assert.equal((await prove(office, 'child', [rotated.keyId, office.installKey.keyId])).proven, true)
})

for (const [what, change, reason] of [
  ['another thread', "UPDATE tokens SET thread_id = 'parent' WHERE jti = ?", /its row tells other things than the token/],
  ['no parent', 'UPDATE tokens SET parent_jti = NULL WHERE jti = ?', /its row tells other things than the token/],
  [
    'a longer life',
    'UPDATE tokens SET expires_at_ms = expires_at_ms + 1 WHERE jti = ?',
    /its row tells other things than the token/,
  ],
  ['a changed text', "UPDATE tokens SET token = replace(token, 'v4.public.e', 'v4.public.f') WHERE jti = ?", /signature/],
] as const) {
  test(`threat row 43: a row of the registry that was changed to tell of ${what} is not proven`, async (t) => {
    // Guard: `tellTheSame` and the signature check in `proveToken`.
    const office = await family(t)
    const jti = office.ledger.latest('child')?.jti ?? ''
    office.store.statement(change).run(jti)
    const chain = await prove(office, jti)
    assert.equal(chain.proven, false)
    assert.match(chain.reason ?? '', reason)
  })
}

test('threat row 43: a run key under a changed id or with a changed date is not believed', async (t) => {
  // Guard: the fingerprint and the certificate in `runKeyProblem`.
  const office = await family(t)
  office.store.statement('UPDATE token_keys SET created_at_ms = created_at_ms + 1').run()
  assert.match((await prove(office, 'child')).reason ?? '', /the certificate of its run key does not hold/)
  const { publicKey } = await createRunKey(() => 0)
  office.store.statement('UPDATE token_keys SET public_key = ?').run(publicKey)
  assert.match((await prove(office, 'child')).reason ?? '', /recorded under the id of another key/)
})

test('a chain whose parent was taken out of the registry is not proven', async (t) => {
  const office = await family(t)
  office.store.statement('PRAGMA foreign_keys=OFF').run()
  office.store.statement('DELETE FROM tokens WHERE thread_id = ?').run('parent')
  assert.match((await prove(office, 'child')).reason ?? '', /its parent token is not in the registry/)
})
