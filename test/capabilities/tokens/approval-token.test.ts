import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { issuerOf } from '../../../src/capabilities/tokens/prove-token.ts'
import { certifyRunKey, createRunKey } from '../../../src/capabilities/tokens/run-key.ts'
import type { TokenChain } from '../../../src/capabilities/tokens/token-chain.ts'
import { verifyTokenChain } from '../../../src/capabilities/tokens/token-chain.ts'
import { sealToken } from '../../../src/capabilities/tokens/token-format.ts'
import { AUDIENCE, grants, type Host, MINUTE_MS, type Office, openOffice, VOCABULARY } from './fixture.ts'

const HELD = { 'kiwi-mcp.execute': true, 'tool.execute': ['deploy'] } as const

interface Approving extends Host {
  readonly office: Office
  /** An approval of `deploy` for ten minutes. */
  readonly approve: (expiresAtMs?: number) => Promise<string>
}

async function approving(t: TestContext): Promise<Approving> {
  const office = await openOffice(t)
  const host = await office.host()
  await office.spawn('one')
  await host.authority.mint({ threadId: 'one', directiveId: 'work', parentThreadId: null, declared: grants(HELD) })
  return {
    office,
    ...host,
    approve: (expiresAtMs = office.clock.wallMs + 10 * MINUTE_MS) =>
      host.authority.mintApproval({ threadId: 'one', approvalId: 'tool_1', toolId: 'deploy', expiresAtMs }),
  }
}

function prove(office: Office, id: string): Promise<TokenChain> {
  const trustedKeyIds = [office.installKey.keyId]
  return verifyTokenChain(office.ledger, id, { trustedKeyIds, audience: AUDIENCE, vocabulary: VOCABULARY })
}

test('an approval is a token of the thread: what it has, and the one tool that was approved', async (t) => {
  const { authority, approve } = await approving(t)
  const ordinary = await authority.verify(await authority.current('one'))
  const { jti, parentJti, threadId, grants: held } = await authority.verify(await approve())
  assert.deepEqual(held.capabilities, { ...HELD, 'tool.approved': ['deploy'] })
  assert.deepEqual([threadId, parentJti, jti.startsWith('approval:tool_1:')], ['one', ordinary.jti, true])
})

test('an approval is never what the thread acts under otherwise, and outlives no pruning of the tokens below it', async (t) => {
  const { office, authority, approve } = await approving(t)
  const before = await authority.current('one')
  const approved = await authority.verify(await approve())
  assert.equal(await authority.current('one'), before)
  for (let renewal = 0; renewal < 4; renewal += 1) {
    office.pass(14 * MINUTE_MS)
    const claims = await authority.verify(await authority.current('one'))
    assert.equal(Object.hasOwn(claims.grants.capabilities, 'tool.approved'), false)
  }
  assert.equal((await prove(office, approved.jti)).proven, true)
})

test('an approval ends when it says so, or with the life of a token', async (t) => {
  const { office, authority, approve } = await approving(t)
  const short = await approve(office.clock.wallMs + MINUTE_MS)
  const [first, long] = [
    await authority.verify(short),
    await authority.verify(await approve(office.clock.wallMs + 600 * MINUTE_MS)),
  ]
  assert.deepEqual(
    [first.expiresAtMs, long.expiresAtMs].map((end) => end - office.clock.wallMs),
    [MINUTE_MS, 15 * MINUTE_MS],
  )
  office.pass(MINUTE_MS)
  await assert.rejects(authority.verify(short), { code: 'TOKEN_INVALID' })
  await assert.rejects(approve(office.clock.wallMs), { code: 'TOKEN_INVALID' })
})

test('one token serves an approval while it lasts, and another is made when it is nearly over', async (t) => {
  const { office, approve } = await approving(t)
  const end = office.clock.wallMs + 600 * MINUTE_MS
  const [first, second] = [await approve(end), await approve(end)]
  office.pass(11 * MINUTE_MS)
  assert.deepEqual([second === first, (await approve(end)) === first], [true, false])
})

test('the chain of an approval is proven up to the operator', async (t) => {
  const { office, authority, approve } = await approving(t)
  const { jti } = await authority.verify(await approve())
  const { proven, links } = await prove(office, jti)
  assert.equal(proven, true)
  assert.deepEqual(
    links.map(({ approval, within_parent: within }) => [approval, within]),
    [
      [true, true],
      [false, null],
    ],
  )
})

test('a thread that is paused, cancelled or over gets no approval', async (t) => {
  const { office, approve } = await approving(t)
  for (const status of ['paused', 'waiting', 'completed', 'cancelled']) {
    office.setStatus('one', status)
    await assert.rejects(approve(), { code: 'TOKEN_INVALID' }, status)
  }
})

test('threat row 43: an approval is not passed on to a child, whatever the child declares', async (t) => {
  // Without `withoutApproval` in mint (authority.ts) and without the rule of `latest` (token-ledger.ts) the child holds it.
  const { office, authority, approve } = await approving(t)
  await approve()
  await office.spawn('child', 'one')
  const declared = grants({ ...HELD, 'tool.approved': ['*'] })
  const child = await authority.mint({ threadId: 'child', directiveId: 'work', parentThreadId: 'one', declared })
  await office.spawn('root')
  const root = await authority.mint({ threadId: 'root', directiveId: 'work', parentThreadId: null, declared })
  assert.deepEqual([child.grants.capabilities, root.grants.capabilities], [HELD, HELD])
})

/** Records a token that the host's own keys signed, with `tool.approved` in it. */
async function plant(
  office: Office,
  planted: { readonly jti: string; readonly threadId: string; readonly parentJti: string },
): Promise<void> {
  const runKey = await createRunKey(() => office.clock.wallMs)
  office.ledger.addKey(certifyRunKey(runKey, office.installKey))
  const issuedAtMs = office.clock.wallMs
  const row = { ...planted, issuedAtMs, expiresAtMs: issuedAtMs + MINUTE_MS }
  const claims = { ...row, directiveId: 'work', grants: grants({ ...HELD, 'tool.approved': ['deploy'] }) }
  const token = await sealToken(claims, runKey, { issuer: issuerOf(office.installKey.keyId), audience: AUDIENCE })
  office.ledger.add({ ...row, keyId: runKey.keyId, token })
}

test('threat row 43: an approval in any other place than beside the tokens of its own thread is not proven', async (t) => {
  // Without `misplacedApproval` (token-chain.ts) the first two are taken for good ones.
  const { office, authority, approve } = await approving(t)
  await office.spawn('child', 'one')
  const ordinary = await authority.verify(await authority.current('one'))
  const approved = await authority.verify(await approve())
  await plant(office, { jti: 'approval:tool_2:a', threadId: 'child', parentJti: ordinary.jti })
  await plant(office, { jti: 'approval:tool_2:b', threadId: 'one', parentJti: approved.jti })
  await plant(office, { jti: 'plain', threadId: 'child', parentJti: ordinary.jti })
  const reasons = await Promise.all(
    ['approval:tool_2:a', 'approval:tool_2:b', 'plain'].map(async (id) => (await prove(office, id)).reason),
  )
  assert.match(reasons[0] ?? '', /that of another thread/)
  assert.match(reasons[1] ?? '', /itself that of an approval/)
  assert.match(reasons[2] ?? '', /grants more than its parent/)
})
