import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostScopeAllows, namesPrivateTarget, parseHostScope } from '../../../src/capabilities/scopes/host-scope.ts'
import { canonicalSet, coversAll, meetSets, parseScope } from '../../../src/capabilities/scopes/scope-sets.ts'

for (const { text, canonical } of [
  { text: 'API.Example.com', canonical: 'api.example.com' },
  { text: 'example.com:8080', canonical: 'example.com:8080' },
  { text: '*.example.com:8443', canonical: '*.example.com:8443' },
  { text: 'Bücher.example', canonical: 'xn--bcher-kva.example' },
  { text: '127.0.0.1:8080', canonical: '127.0.0.1:8080' },
  { text: '[2001:DB8:0::1]:80', canonical: '[2001:db8::1]:80' },
  { text: '[::1]:8080', canonical: '[::1]:8080' },
  { text: 'localhost:8080', canonical: 'localhost:8080' },
  { text: 'my_host', canonical: 'my_host' },
]) {
  test(`the host scope \`${text}\` is \`${canonical}\``, () => {
    assert.deepEqual(parseScope(text, 'host'), { kind: 'scope', scope: canonical })
  })
}

for (const { text, offset, reason } of [
  { text: '', offset: 0, reason: /empty/ },
  { text: '*', offset: 0, reason: /`\*` in the middle/ },
  { text: 'a.*.com', offset: 2, reason: /`\*` in the middle/ },
  { text: '*.*.com', offset: 2, reason: /`\*` in the middle/ },
  { text: 'ex*.com', offset: 2, reason: /`\*` in the middle/ },
  { text: 'https://example.com', offset: 5, reason: /not a URL/ },
  { text: 'example.com/path', offset: 11, reason: /"\/"/ },
  { text: 'user@example.com', offset: 4, reason: /"@"/ },
  { text: 'example%2ecom', offset: 7, reason: /"%"/ },
  { text: 'exa mple.com', offset: 3, reason: /" "/ },
  { text: 'example.com.', offset: 12, reason: /empty part/ },
  { text: 'a..b', offset: 2, reason: /empty part/ },
  { text: '-a.example', offset: 0, reason: /part of a host name/ },
  { text: 'example.com:', offset: 12, reason: /not a port/ },
  { text: 'example.com:0', offset: 12, reason: /not a port/ },
  { text: 'example.com:080', offset: 12, reason: /not a port/ },
  { text: 'example.com:65536', offset: 12, reason: /not a port/ },
  { text: 'example.com:*', offset: 12, reason: /not a port/ },
  { text: '::1', offset: 0, reason: /several `:`/ },
  { text: '[::1', offset: 1, reason: /no IPv6 address/ },
  { text: '[fe80::1%eth0]:80', offset: 1, reason: /no IPv6 address/ },
  { text: '[::1]', offset: 5, reason: /without a port/ },
  { text: '127.0.0.1', offset: 9, reason: /without a port/ },
  { text: 'localhost', offset: 9, reason: /without a port/ },
  { text: '0x7f.1:80', offset: 0, reason: /not a host name/ },
  { text: '127.1:80', offset: 0, reason: /not a host name/ },
  { text: '2130706433:80', offset: 0, reason: /not a host name/ },
  { text: '010.0.0.1:80', offset: 0, reason: /not a host name/ },
  { text: '１２７.0.0.1:80', offset: 0, reason: /unusual form/ },
  { text: 'example。com', offset: 7, reason: /in a host scope/ },
  { text: 'cafe\u0301.example', offset: 0, reason: /unusual form/ },
  { text: '*.0.0.1', offset: 2, reason: /host name|IP address/ },
  { text: '*.10', offset: 2, reason: /host name|IP address/ },
  { text: '[::ffff:127.0.0.1]:80', offset: 1, reason: /holds an IPv4 address/ },
  { text: '[64:ff9b::7f00:1]:80', offset: 1, reason: /holds an IPv4 address/ },
  { text: '169.254.169.254:80', offset: 0, reason: /closed to every tool/ },
  { text: '[fd00:ec2::254]:80', offset: 1, reason: /closed to every tool/ },
]) {
  test(`the host scope ${JSON.stringify(text)} is refused at character ${offset}`, () => {
    const outcome = parseHostScope(text)
    assert(outcome.kind === 'refused', JSON.stringify(outcome))
    assert.match(outcome.reason, reason)
    assert.equal(outcome.offset, offset)
    assert.notEqual(outcome.fix, '')
  })
}

test('a host without a port is allowed on ports 80 and 443 alone', () => {
  const allowed = [80, 443, 8080].filter((port) => hostScopeAllows(['example.com'], { host: 'Example.COM', port }))
  assert.deepEqual(allowed, [80, 443])
})

test('a suffix ends at a dot, and is every name below but not the name itself', () => {
  const hosts = [
    'a.example.com',
    'b.a.example.com',
    'example.com',
    'xexample.com',
    '.example.com',
    'example.com.evil.test',
    'a.example.com.',
  ]
  assert.deepEqual(
    hosts.filter((host) => hostScopeAllows(['*.example.com'], { host, port: 443 })),
    ['a.example.com', 'b.a.example.com'],
  )
})

test('an IPv6 address is the same with brackets, without them and in its long form', () => {
  for (const host of ['::1', '[::1]', '0:0:0:0:0:0:0:1']) assert(hostScopeAllows(['[::1]:8080'], { host, port: 8080 }), host)
  assert(!hostScopeAllows(['[::1]:8080'], { host: '::2', port: 8080 }))
})

test('only a scope that names an address and its port names a private target', () => {
  const target = { host: '127.0.0.1', port: 8080 }
  assert(namesPrivateTarget(['127.0.0.1:8080'], target))
  assert(namesPrivateTarget(['localhost:8080'], { host: 'LOCALHOST', port: 8080 }))
  for (const scope of ['127.0.0.1:8081', '127.0.0.2:8080', '127.0.0.1', 'localhost:8080', '*.0.0.1:8080', '**', '*'])
    assert(!namesPrivateTarget([scope], target), scope)
})

test('a name is no private target, whatever it resolves to', () => {
  assert(!namesPrivateTarget(['intranet.example:80', '*.localhost:80'], { host: 'intranet.example', port: 80 }))
  assert(!namesPrivateTarget(['*.localhost:80'], { host: 'a.localhost', port: 80 }))
})

test('the metadata address of a cloud is no target of any scope', () => {
  assert(!namesPrivateTarget(['169.254.169.254:80'], { host: '169.254.169.254', port: 80 }))
})

test('two scopes with the two default ports cover the name without a port, and the other way round', () => {
  assert(coversAll(['a.example:80', 'a.example:443'], ['a.example'], 'host'))
  assert(coversAll(['a.example'], ['a.example:80', 'a.example:443'], 'host'))
  assert(!coversAll(['a.example:80'], ['a.example'], 'host'))
  assert.deepEqual(canonicalSet(['a.example:443', 'a.example:80', 'a.example:8080'], 'host'), ['a.example', 'a.example:8080'])
})

test('addresses keep their ports apart, so that no wider scope comes of joining them', () => {
  assert.deepEqual(canonicalSet(['127.0.0.1:443', '127.0.0.1:80'], 'host'), ['127.0.0.1:443', '127.0.0.1:80'])
})

test('a suffix and a name below it meet in that name on the ports of both', () => {
  assert.deepEqual(meetSets(['*.example.com'], ['api.example.com', 'example.com', 'api.other.com'], 'host'), ['api.example.com'])
  assert.deepEqual(meetSets(['*.example.com'], ['*.a.example.com:443', 'b.example.com:8080'], 'host'), ['*.a.example.com:443'])
})
