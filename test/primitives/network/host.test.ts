import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeTarget, readHost, targetOfUrl } from '../../../src/primitives/network/host.ts'

test('names and addresses are read in the one form that scopes are compared with', () => {
  const hosts = {
    'API.Example.com': 'api.example.com',
    localhost: 'localhost',
    'foo_bar.example': 'foo_bar.example',
    'xn--bcher-kva.example': 'xn--bcher-kva.example',
    '127.0.0.1': '127.0.0.1',
    '[::1]': '::1',
    '0:0:0:0:0:FFFF:7F00:1': '::ffff:7f00:1',
    '::ffff:127.0.0.1': '::ffff:7f00:1',
  }
  assert.deepEqual(Object.fromEntries(Object.keys(hosts).map((host) => [host, readHost(host)?.text])), hosts)
})

test('what is neither a plain name nor an address in its usual notation is no host', () => {
  const written = [
    [
      '',
      '.',
      'a..b',
      '.a',
      'localhost.',
      '127.0.0.1.',
      '-a.b',
      'a-.b',
      'a b',
      'a%62',
      'a/b',
      'a@b',
      'a:80',
      'a*b',
      'ü.example',
      'a\0b',
      'a\nb',
    ],
    ['0177.0.0.1', '0x7f.1', '0x7f000001', '2130706433', '127.1', '127.0.1', '1.2.3.4.5', '256.1.1.1', '0', 'example.0x', 'a.1'],
    ['fe80::1%eth0', '[fe80::1%25eth0]', '[127.0.0.1]', '::g', '[::1', '１２７.0.0.1', 'x'.repeat(64), `${'a.'.repeat(127)}aa`],
  ].flat()
  assert.deepEqual(
    written.filter((host) => readHost(host) !== null),
    [],
  )
})

test('the target of a URL has the port of its scheme, and the host that the parser made of odd notations', () => {
  const targets = [
    'http://EXAMPLE.com/x',
    'https://a.example',
    'wss://a.example',
    'ws://a.example:81',
    'http://0x7f.1:8080',
    'http://[::FFFF:127.0.0.1]',
  ]
  assert.deepEqual(
    targets.map((url) => targetOfUrl(new URL(url), 'http')).map(({ host, port }) => [host, port]),
    [
      ['example.com', 80],
      ['a.example', 443],
      ['a.example', 443],
      ['a.example', 81],
      ['127.0.0.1', 8080],
      ['::ffff:7f00:1', 80],
    ],
  )
})

test('a target is described as a scope would name it', () => {
  const describe = (host: string, port: number): string => describeTarget({ host, port, protocol: 'http' })
  assert.deepEqual(
    [describe('a.example', 443), describe('a.example', 8080), describe('::1', 81)],
    ['a.example', 'a.example:8080', '[::1]:81'],
  )
})
