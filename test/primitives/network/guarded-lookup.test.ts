import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pinnedLookup, resolveTarget } from '../../../src/primitives/network/guarded-lookup.ts'
import type { Lookup } from '../../../src/primitives/network/lookup.ts'
import type { NetworkPolicy, NetworkTarget } from '../../../src/primitives/sandbox/contract.ts'

const EVERYTHING: NetworkPolicy = { allows: () => true, allowsPrivate: () => false }
const PRIVATE_TOO: NetworkPolicy = { allows: () => true, allowsPrivate: () => true }
const target = (host: string): NetworkTarget => ({ host, port: 443, protocol: 'http' })

function answering(...answers: readonly string[]): { lookup: Lookup; asked: string[] } {
  const asked: string[] = []
  const lookup: Lookup = async (name) => {
    asked.push(name)
    return answers.map((address) => ({ address }))
  }
  return { lookup, asked }
}

test('a host that no scope allows is refused without a lookup', async () => {
  const { lookup, asked } = answering('8.8.8.8')
  const policy: NetworkPolicy = { allows: ({ host }) => host === 'api.example', allowsPrivate: () => true }
  const result = await resolveTarget(target('evil.example'), { policy, lookup })
  assert.deepEqual(
    [result, asked],
    [{ kind: 'denied', because: 'scope', reason: 'No net permission allows "evil.example" (http).' }, []],
  )
})

test('all public addresses of a name are allowed, after one lookup of its plain form', async () => {
  const { lookup, asked } = answering('8.8.8.8', '2001:4860:4860::8888')
  const result = await resolveTarget(target('DNS.Example'), { policy: EVERYTHING, lookup })
  const addresses = [
    { address: '8.8.8.8', family: 4 },
    { address: '2001:4860:4860::8888', family: 6 },
  ]
  assert.deepEqual([result, asked], [{ kind: 'allowed', addresses }, ['dns.example']])
})

// Fails when `judge` accepts a name as soon as one of its addresses is public.
test('threat row 14: a name with one private address among public ones is refused, whatever their order', async () => {
  for (const bad of [
    '127.0.0.1',
    '10.0.0.1',
    '169.254.169.254',
    '::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '0.0.0.0',
    'fe80::1%eth0',
  ]) {
    for (const answers of [
      ['8.8.8.8', bad],
      [bad, '8.8.8.8'],
      ['8.8.8.8', '1.1.1.1', bad],
    ]) {
      const result = await resolveTarget(target('mixed.example'), { policy: EVERYTHING, lookup: answering(...answers).lookup })
      assert.deepEqual([result.kind, 'because' in result && result.because], ['denied', 'address'], answers.join(' '))
    }
  }
})

test('the address inside a network is not told', async () => {
  const result = await resolveTarget(target('db.internal'), { policy: EVERYTHING, lookup: answering('10.1.2.3').lookup })
  assert.equal(result.kind === 'denied' && result.reason.startsWith('The name "db.internal" leads to a private address;'), true)
  assert.doesNotMatch(JSON.stringify(result), /10\.1\.2\.3/)
})

test('a private address that a scope names is allowed, and metadata, link-local and unspecified ones never are', async () => {
  const kindOf = async (host: string): Promise<string> => (await resolveTarget(target(host), { policy: PRIVATE_TOO })).kind
  for (const host of ['127.0.0.1', '10.0.0.1', '::1', 'fd00::1', '::ffff:127.0.0.1'])
    assert.equal(await kindOf(host), 'allowed', host)
  for (const host of [
    '169.254.169.254',
    'fd00:ec2::254',
    '100.100.100.200',
    'fe80::1',
    '0.0.0.0',
    '::',
    '2002:7f00:1::',
    '224.0.0.1',
    '255.255.255.255',
  ])
    assert.equal(await kindOf(host), 'denied', host)
})

test('what is no plain host is refused before any scope is asked', async () => {
  const { lookup, asked } = answering('8.8.8.8')
  const policy: NetworkPolicy = { allows: () => assert.fail('asked'), allowsPrivate: () => true }
  const result = await resolveTarget(target('0177.0.0.1'), { policy, lookup })
  assert.deepEqual([result.kind === 'denied' && result.because, asked], ['host', []])
})

test('a lookup that fails, finds nothing, hangs or is aborted is a failure that says so', async () => {
  const never: Lookup = () => new Promise(() => {})
  const broken: Lookup = () => {
    throw new Error('no resolver')
  }
  const because = async (lookup: Lookup, options: { signal?: AbortSignal; timeoutMs?: number } = {}): Promise<unknown> => {
    const result = await resolveTarget(target('a.example'), { policy: EVERYTHING, lookup, ...options })
    return result.kind === 'failed' && result.because
  }
  const controller = new AbortController()
  const aborted = because(never, { signal: controller.signal })
  controller.abort()
  assert.deepEqual(
    [
      await because(broken),
      await because(answering().lookup),
      await because(never, { timeoutMs: 5 }),
      await aborted,
      await because(never, { signal: controller.signal }),
    ],
    ['lookup', 'lookup', 'timeout', 'aborted', 'aborted'],
  )
})

test('a pinned lookup answers with the checked addresses, whatever is asked', () => {
  const lookup = pinnedLookup([{ address: '8.8.8.8', family: 4 }])
  const answers: unknown[] = []
  lookup('other.example', { all: true }, (_error, addresses) => answers.push(addresses))
  lookup('other.example', {}, (_error, address, family) => answers.push(address, family))
  pinnedLookup([])('other.example', {}, (error) => answers.push(error instanceof Error))
  assert.deepEqual(answers, [[{ address: '8.8.8.8', family: 4 }], '8.8.8.8', 4, true])
})
