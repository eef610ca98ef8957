import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import test, { type TestContext } from 'node:test'
import { PublicProtocol } from 'paseto'
import { SignFactory } from 'paseto/v4/public'
import { issuerOf } from '../../../src/capabilities/tokens/prove-token.ts'
import type { WireClaims } from '../../../src/capabilities/tokens/token-claims.ts'
import { AUDIENCE, grants, type Host, MINUTE_MS, type Office, openOffice } from './fixture.ts'

const REFUSED = { code: 'TOKEN_INVALID' }
const paseto = new PublicProtocol(SignFactory)

async function minted(t: TestContext): Promise<{ office: Office; host: Host; token: string }> {
  const office = await openOffice(t)
  const host = await office.host()
  await office.spawn('one')
  const declared = grants({ 'fs.read': ['docs/**'] })
  await host.authority.mint({ threadId: 'one', directiveId: 'work', parentThreadId: null, declared })
  return { office, host, token: await host.authority.current('one') }
}

interface Forgery {
  readonly claims?: Record<string, unknown>
  readonly footer?: string
  readonly assertion?: string
}

/** A token with the host's own key and right claims, but for what the forgery changes. */
async function forge(office: Office, host: Host, forgery: Forgery = {}): Promise<string> {
  const now = new Date(office.clock.wallMs).toISOString()
  const claims: WireClaims = {
    iss: issuerOf(office.installKey.keyId),
    aud: AUDIENCE,
    jti: 'j1',
    sub: 'one',
    iat: now,
    nbf: now,
    exp: new Date(office.clock.wallMs + 15 * MINUTE_MS).toISOString(),
    parent: null,
    directive: 'work',
    grants: grants({ 'fs.read': ['docs/**'] }),
    ...forgery.claims,
  }
  return await paseto.Sign(host.runKey.secretKey, claims as Record<string, string>, {
    now: new Date(office.clock.wallMs),
    addIssuedAt: false,
    ...(claims.exp === undefined ? { nonExpiring: true } : {}),
    footer: Buffer.from(forgery.footer ?? JSON.stringify({ kid: host.runKey.keyId })),
    implicitAssertion: Buffer.from(forgery.assertion ?? `kiwi:cap:v1\n${host.runKey.keyId}`),
  })
}

test('a token made by hand in the right form passes, so that the forgeries below fail for what they change', async (t) => {
  const { office, host } = await minted(t)
  assert.equal((await host.authority.verify(await forge(office, host))).threadId, 'one')
})

test('threat row 43: a token of which any one character was changed is refused', async (t) => {
  // Guard: the signature check of `openToken`. Decoding the payload without it lets changed claims through.
  const { host, token } = await minted(t)
  const changed = Array.from(token, (character, index) => {
    const other = character === 'A' ? 'B' : 'A'
    return `${token.slice(0, index)}${other}${token.slice(index + 1)}`
  })
  const results = await Promise.allSettled(changed.map((text) => host.authority.verify(text)))
  assert.equal(results.length, token.length)
  assert.deepEqual(
    results.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : [])),
    [],
  )
})

const LATER = (office: Office, minutes: number): string => new Date(office.clock.wallMs + minutes * MINUTE_MS).toISOString()

// Guard: each option given to `Verify` in `openToken`, or the check behind it; without one its line here is let through.
const FORGERIES: readonly (readonly [string, (office: Office) => Forgery])[] = [
  ['another project', () => ({ claims: { aud: 'kiwi:project:other' } })],
  ['no audience', () => ({ claims: { aud: undefined } })],
  ['another installation', () => ({ claims: { iss: 'kiwi:somebody' } })],
  ['no issuer', () => ({ claims: { iss: undefined } })],
  ['another purpose', () => ({ assertion: 'kiwi:item:v1' })],
  ['no purpose', () => ({ assertion: '' })],
  ['the purpose of another run key', () => ({ assertion: 'kiwi:cap:v1\nother' })],
  ['the footer of another run key', () => ({ footer: '{"kid":"other"}' })],
  ['a beginning far in the future', (office) => ({ claims: { nbf: LATER(office, 2) } })],
  ['a time of issue far in the future', (office) => ({ claims: { iat: LATER(office, 2), exp: LATER(office, 17) } })],
  ['an end in the past', (office) => ({ claims: { exp: LATER(office, -0.001) } })],
  ['no end', () => ({ claims: { exp: undefined } })],
  ['a longer life than tokens have', (office) => ({ claims: { exp: LATER(office, 16) } })],
  ['an issue long ago', (office) => ({ claims: { iat: LATER(office, -17), nbf: LATER(office, -17), exp: LATER(office, 1) } })],
  ['no token id', () => ({ claims: { jti: undefined } })],
  ['no beginning', () => ({ claims: { nbf: undefined } })],
  ['no thread', () => ({ claims: { sub: undefined } })],
  ['no word about its parent', () => ({ claims: { parent: undefined } })],
  ['no grants', () => ({ claims: { grants: undefined } })],
  [
    'a capability named __proto__',
    () => ({
      claims: { grants: JSON.parse('{"capabilities":{"__proto__":["**"]},"orchestration":null,"knowledge":[],"directives":[]}') },
    }),
  ],
  ['scopes that are no texts', () => ({ claims: { grants: { ...grants({}), capabilities: { 'fs.read': [{ path: '**' }] } } } })],
]

for (const [what, forgery] of FORGERIES) {
  test(`threat row 43: a token with ${what} is refused, although the host's own key signed it`, async (t) => {
    const { office, host } = await minted(t)
    await assert.rejects(async () => host.authority.verify(await forge(office, host, forgery(office))), REFUSED)
  })
}

test('threat row 43: a token of another host run is refused, although the same installation certified its key', async (t) => {
  // Guard: the key id in footer and assertion, and the key itself. Looking the key up by the footer lets this one through.
  const { office, token } = await minted(t)
  const other = await office.host()
  await assert.rejects(other.authority.verify(token), REFUSED)
})

test('threat row 43: texts of other algorithms and kinds are refused', async (t) => {
  const { host, token } = await minted(t)
  const payload = token.split('.')[2] ?? ''
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`
  const texts = [
    '',
    '.',
    'none',
    none,
    `v4.local.${payload}`,
    `v2.public.${payload}`,
    `v3.public.${payload}`,
    `${token}.`,
    ` ${token}`,
    `${token}\n`,
  ]
  const results = await Promise.allSettled(texts.map((text) => host.authority.verify(text)))
  assert.deepEqual(new Set(results.map(({ status }) => status)), new Set(['rejected']))
})

test('threat row 43: the signature of an item is no token, and a token no signature of an item', async (t) => {
  // Guard: the implicit assertion. Without it anything of the form that the run key signs is a token.
  const { office, host } = await minted(t)
  const asItem = await forge(office, host, { assertion: 'kiwi:item:v1\n' })
  const { privateKey } = generateKeyPairSync('ed25519')
  const message = Buffer.from('v4.public.claims')
  const signedByHand = `v4.public.${Buffer.concat([message, sign(null, message, privateKey)]).toString('base64url')}`
  for (const text of [asItem, signedByHand, office.installKey.sign('item', message)])
    await assert.rejects(host.authority.verify(text), REFUSED)
})

test('threat row 43: a row of the registry that an outsider wrote is not renewed into a token', async (t) => {
  // Guard: `runKeyProblem` in `proveToken`. Without it whoever writes the registry makes tokens of any width.
  const { office } = await minted(t)
  const outsider = await office.host()
  const claims = { grants: grants({ 'fs.write': ['**'] }) }
  const token = await forge(office, outsider, { claims })
  const { runKey } = outsider
  const certificate = Buffer.alloc(64).toString('base64url')
  office.ledger.addKey({ ...runKey, certifiedBy: office.installKey.keyId, certificate })
  const issuedAtMs = office.clock.wallMs
  const row = {
    jti: 'j1',
    parentJti: null,
    threadId: 'one',
    keyId: runKey.keyId,
    issuedAtMs,
    expiresAtMs: issuedAtMs + 15 * MINUTE_MS,
  }
  office.ledger.add({ ...row, token })
  const host = await office.host()
  await assert.rejects(host.authority.current('one'), /the certificate of its run key does not hold/)
})

test('no error of the authority carries a token or a part of one', async (t) => {
  const { office, host, token } = await minted(t)
  const broken = `${token.slice(0, -40)}${'A'.repeat(40)}`
  office.pass(20 * MINUTE_MS)
  office.setStatus('one', 'completed')
  const errors = await Promise.all([
    host.authority.verify(broken).catch((error: unknown) => error),
    host.authority.verify(token).catch((error: unknown) => error),
    host.authority.current('one').catch((error: unknown) => error),
  ])
  const texts = errors.map((error) => (error instanceof Error ? `${error.stack} ${JSON.stringify(error)}` : ''))
  assert.ok(texts.every((text) => text.includes('capability token') && !text.includes(token.slice(10, 40))))
})
