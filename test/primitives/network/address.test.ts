import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classifyAddress, isGrantable } from '../../../src/primitives/network/address.ts'
import type { AddressKind } from '../../../src/primitives/network/address.ts'

const ADDRESSES: Readonly<Record<AddressKind, readonly string[]>> = {
  public: [
    '1.1.1.1',
    '8.8.8.8',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.0',
    '169.253.255.255',
    '169.255.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '2606:4700:4700::1111',
    '2001:4860:4860::8888',
    '2a00:1450::1',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
  ],
  loopback: [
    '127.0.0.1',
    '127.255.255.255',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
  ],
  private: [
    '10.0.0.0',
    '10.255.255.255',
    '172.16.0.0',
    '172.31.255.255',
    '192.168.0.1',
    '::ffff:10.0.0.1',
    '64:ff9b::c0a8:1',
    'fec0::1',
  ],
  shared: ['100.64.0.0', '100.127.255.255'],
  unique_local: ['fc00::1', 'fdff:ffff::1'],
  benchmark: ['198.18.0.0', '198.19.255.255', '2001:2::1'],
  link_local: [
    '169.254.0.0',
    '169.254.169.254',
    '169.254.170.2',
    '169.254.255.255',
    'fe80::1',
    'febf::1',
    '::ffff:a9fe:a9fe',
    '::169.254.169.254',
  ],
  metadata: [
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fd20:ce::254',
    '64:ff9b::6464:64c8',
  ],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1'],
  broadcast: ['255.255.255.255', '::ffff:255.255.255.255'],
  unspecified: ['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0', '64:ff9b::'],
  translated: [
    '2002:7f00:1::',
    '2002:808:808::1',
    '2001::1',
    '2001:0:808:808::1',
    '64:ff9b:1::a00:1',
    '::ffff:0:7f00:1',
    '192.88.99.1',
  ],
  reserved: [
    '192.0.0.1',
    '192.0.2.1',
    '198.51.100.1',
    '203.0.113.1',
    '240.0.0.1',
    '255.255.255.254',
    '::808:808',
    '2001:db8::1',
    '2001:10::1',
    '3fff::1',
    '4000::1',
    '5f00::1',
    '100::1',
    '1::',
    'fe80::1%eth0',
    '127.1',
    '0177.0.0.1',
    'localhost',
    '',
  ],
}

for (const [kind, addresses] of Object.entries(ADDRESSES)) {
  test(`addresses that are ${kind} are known as such, at both ends of their ranges and inside IPv6`, () => {
    assert.deepEqual(
      addresses.map((address) => [address, classifyAddress(address)]),
      addresses.map((address) => [address, kind]),
    )
  })
}

test('a scope can open addresses of a user’s own networks and no others', () => {
  const kinds = Object.keys(ADDRESSES).filter((kind) => isGrantable(classifyAddress(ADDRESSES[kind as AddressKind][0] ?? '')))
  assert.deepEqual(kinds, ['loopback', 'private', 'shared', 'unique_local', 'benchmark'])
})
