import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HttpResult } from '../../../src/primitives/http-client/contract.ts'
import { createHttpClient, createHttpPrimitive, executeHttp } from '../../../src/primitives/http-client/http-client.ts'
import type { HttpClient } from '../../../src/primitives/http-client/http-client.ts'
import type { Lookup } from '../../../src/primitives/network/lookup.ts'
import type { NetworkGrant, NetworkPolicy } from '../../../src/primitives/sandbox/contract.ts'
import { recordingSink, sendEvents, serve, serveTcp } from './loopback.ts'

const scoped = (policy: Partial<NetworkPolicy> = {}): NetworkGrant => ({
  kind: 'scoped',
  policy: { allows: () => true, allowsPrivate: () => false, ...policy },
})
/** Scopes that name loopback with this port, and nothing else that is private. */
const withPort = (port: number): NetworkGrant => scoped({ allowsPrivate: (target) => target.port === port })

/** A resolver that gives one set of answers after the other, the last for good. */
function resolver(...rounds: readonly (readonly string[])[]): { lookup: Lookup; asked: string[] } {
  const asked: string[] = []
  const lookup: Lookup = async (name) => {
    asked.push(name)
    return (rounds[asked.length - 1] ?? rounds.at(-1) ?? []).map((address) => ({ address }))
  }
  return { lookup, asked }
}

async function get(
  url: string,
  network: NetworkGrant,
  options: { lookup?: Lookup; config?: Record<string, unknown> } = {},
): Promise<HttpResult> {
  const client = createHttpClient(options.lookup === undefined ? {} : { lookup: options.lookup })
  const result = await client.execute({ url, ...options.config }, { mode: 'sync', network })
  client.close()
  return result
}

const LOOPBACK_FORMS = [
  [
    '127.0.0.1',
    '127.0.0.1.',
    '127.1',
    '127.0.1',
    '0177.0.0.1',
    '0x7f.0.0.1',
    '0x7f.1',
    '0x7f000001',
    '2130706433',
    '017700000001',
    '0',
  ],
  ['%31%32%37.0.0.1', '127%2e0.0.1', '0.0.0.0', '127.255.255.254'],
  ['[::1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[0:0:0:0:0:ffff:7f00:1]', '[::127.0.0.1]', '[::ffff:0:127.0.0.1]'],
  ['[64:ff9b::127.0.0.1]', '[64:ff9b:1::7f00:1]', '[2002:7f00:1::]', '[2001:0:7f00:1::]', 'localhost', 'LOCALHOST', 'localhost.'],
].flat()
const OTHER_FORMS = [
  [
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '169.254.169.254',
    '0xa9fea9fe',
    '2852039166',
    '0251.0376.0251.0376',
    '100.100.100.200',
  ],
  ['224.0.0.1', '255.255.255.255', '198.18.0.1', '192.0.2.1', '240.0.0.1'],
  ['[fe80::1]', '[fc00::1]', '[fd00:ec2::254]', '[ff02::1]', '[::ffff:169.254.169.254]', '[2001:db8::1]'],
].flat()

// Fails when `judge` in guarded-lookup.ts lets every kind of address pass: the forms of loopback then reach the server.
test('threat row 11: no notation of an address that is not public is connected to', async () => {
  await using server = await serveTcp((socket) => socket.destroy())
  for (const host of LOOPBACK_FORMS) {
    const { error, attempts } = await get(`http://${host}:${server.port}/`, scoped())
    assert.deepEqual([error?.code, error?.retryable, attempts], ['ADDRESS_DENIED', false, 0], host)
  }
  for (const host of OTHER_FORMS) assert.equal((await get(`http://${host}/`, scoped())).error?.code, 'ADDRESS_DENIED', host)
  for (const host of ['１２７.0.0.1', '[fe80::1%25lo]', '[::1%25lo]'])
    assert.equal((await get(`http://${host}:${server.port}/`, scoped())).error?.code, 'CONFIG_VALIDATION_ERROR', host)
  assert.equal(server.connections(), 0)
})

test('the same notations reach the server of a scope that names it, and those of nowhere do not', async () => {
  await using server = await serve((response) => response.end('local'))
  for (const host of ['127.0.0.1', '0177.0.0.1', '0x7f.1', '2130706433', '%31%32%37.0.0.1', '[::ffff:127.0.0.1]', 'localhost'])
    assert.equal((await get(`http://${host}:${server.port}/`, withPort(server.port))).body, 'local', host)
  for (const host of ['0.0.0.0', '[::]', '[2002:7f00:1::]'])
    assert.equal((await get(`http://${host}:${server.port}/`, withPort(server.port))).error?.code, 'ADDRESS_DENIED', host)
})

// Fails when `send` does not hand the admission's `lookup` to the request: the system's resolver then answers, and knows no such name.
test('threat row 12: a name is looked up once, the checked address is connected to, and Host keeps the name', async () => {
  await using server = await serve((response) => response.end('checked'))
  const { lookup, asked } = resolver(['127.0.0.1'], ['10.255.255.1'])
  const { body } = await get(`http://rebind.test:${server.port}/`, withPort(server.port), { lookup })
  assert.deepEqual([body, asked, server.requests[0]?.headers.host], ['checked', ['rebind.test'], `rebind.test:${server.port}`])
})

// Fails when a call keeps an admission for its later attempts: the second one then goes out.
test('threat row 12: a name that leads to an allowed address at first and to metadata at the next attempt is refused then', async () => {
  await using server = await serveTcp((socket) => socket.destroy())
  const { lookup, asked } = resolver(['127.0.0.1'], ['169.254.169.254'])
  const config = { retry: { max_attempts: 3, backoff_ms: [1] } }
  const { error } = await get(`http://rebind.test:${server.port}/`, withPort(server.port), { lookup, config })
  assert.deepEqual([error?.code, asked.length, server.connections()], ['ADDRESS_DENIED', 2, 1])
})

test('the name that TLS checks stays the caller’s', async () => {
  const hellos: Buffer[] = []
  await using server = await serveTcp((socket) =>
    socket.once('data', (chunk) => (hellos.push(Buffer.from(chunk)), socket.destroy())),
  )
  const { lookup } = resolver(['127.0.0.1'])
  await get(`https://secure.test:${server.port}/`, withPort(server.port), { lookup })
  assert.equal(hellos[0]?.includes('secure.test'), true)
})

// Fails when `runHttpAttempt` asks the guard for the first hop only.
test('threat row 13: a redirect to metadata, to loopback or to a host without a scope is not followed', async () => {
  await using victim = await serveTcp((socket) => socket.destroy())
  const places = {
    'http://169.254.169.254/latest/meta-data': 'ADDRESS_DENIED',
    'http://[fd00:ec2::254]/': 'ADDRESS_DENIED',
    [`http://127.0.0.1:${victim.port}/`]: 'ADDRESS_DENIED',
    [`//0x7f.1:${victim.port}/`]: 'ADDRESS_DENIED',
    'http://evil.test/?q=secret': 'PERMISSION_DENIED',
  }
  for (const [location, code] of Object.entries(places)) {
    await using server = await serve((response) => response.writeHead(302, { location }).end())
    const { lookup, asked } = resolver(['8.8.8.8'])
    const network = scoped({ allows: ({ host }) => host !== 'evil.test', allowsPrivate: ({ port }) => port === server.port })
    const { error, attempts } = await get(server.url, network, { lookup, config: { follow_redirects: true } })
    assert.deepEqual([error?.code, attempts, asked], [code, 1, []], location)
    if (code === 'PERMISSION_DENIED') assert.deepEqual(error?.detail, { missing: ['net.http "evil.test"'] })
  }
  assert.equal(victim.connections(), 0)
})

// Fails when redirect.ts follows from https to http or to another scheme, keeps headers for another origin, or `runHttpAttempt` has no limit.
test('threat row 13: a guarded chain ends after five hops, keeps its scheme rules and gives no credentials to another origin', async () => {
  await using other = await serve((response) => response.writeHead(307, { location: '/again' }).end())
  await using server = await serve((response, request) =>
    response.writeHead(307, { location: request.path === '/file' ? 'file:///etc/passwd' : other.url }).end(),
  )
  const network = scoped({ allowsPrivate: ({ port }) => port === server.port || port === other.port })
  const config = { follow_redirects: true, headers: { authorization: 'Bearer x', 'x-api-key': 'y' } }
  const chain = await get(server.url, network, { config })
  const file = await get(`${server.url}/file`, network, { config })
  assert.deepEqual([chain.error?.code, chain.status_code, chain.attempts, other.requests.length], ['HTTP_STATUS', 307, 6, 5])
  assert.deepEqual([other.requests[0]?.headers.authorization, other.requests[0]?.headers['x-api-key']], [undefined, undefined])
  assert.deepEqual([file.status_code, file.attempts], [307, 1])
})

test('a host without a scope gets no connection, and its name is not looked up', async () => {
  await using server = await serveTcp((socket) => socket.destroy())
  const { lookup, asked } = resolver(['127.0.0.1'])
  const network = scoped({ allows: ({ host }) => host === 'api.test', allowsPrivate: () => true })
  const { error } = await get(`http://evil.test:${server.port}/`, network, { lookup, config: { body: 'SECRET=1' } })
  assert.deepEqual([error?.code, error?.detail], ['PERMISSION_DENIED', { missing: [`net.http "evil.test:${server.port}"`] }])
  assert.deepEqual([asked, server.connections()], [[], 0])
})

test('a call without a network sends nothing, and open or no grant asks every host', async () => {
  await using server = await serve((response) => response.end('local'))
  const none = await get(server.url, { kind: 'none' })
  assert.deepEqual([none.error?.code, none.attempts, server.requests.length], ['ADDRESS_DENIED', 0, 0])
  assert.match(none.error?.message ?? '', /granted no network.*`net\.http`/)
  assert.equal((await get(server.url, { kind: 'open' })).body, 'local')
  assert.equal((await executeHttp({ url: server.url }, { mode: 'sync' })).body, 'local')
})

test('the primitive obeys the grant of its call, and closes the sinks of a refused stream', async () => {
  await using server = await serve((response) => sendEvents(response, '1'))
  const primitive = createHttpPrimitive()
  const sink = recordingSink()
  const context = { __grant: { network: scoped(), isLive: () => true } }
  const refused = await primitive.execute({ config: { url: server.url, mode: 'stream' }, context, sinks: [sink] })
  const granted = { __grant: { network: withPort(server.port), isLive: () => true } }
  const allowed = await primitive.execute({ config: { url: server.url, mode: 'stream' }, context: granted, sinks: [] })
  primitive.close()
  assert.deepEqual([refused.error?.code, sink.closes(), allowed.error, server.requests.length], ['ADDRESS_DENIED', 1, null, 1])
})

async function ports(client: HttpClient, url: string, networks: readonly (NetworkGrant | undefined)[]): Promise<void> {
  for (const network of networks) await client.execute({ url }, { mode: 'sync', ...(network === undefined ? {} : { network }) })
}

// Fails when guarded calls use the client's kept connections.
test('a kept connection of an unguarded call is not used by a guarded one, which is checked and connects anew each time', async () => {
  const seen: (number | undefined)[] = []
  await using server = await serve((response) => (seen.push(response.socket?.remotePort), response.end()))
  const client = createHttpClient()
  const network = withPort(server.port)
  await ports(client, server.url, [undefined, undefined, network, network, undefined])
  const { error } = await client.execute({ url: server.url }, { mode: 'sync', network: scoped() })
  client.close()
  assert.equal(error?.code, 'ADDRESS_DENIED')
  assert.deepEqual([seen[0] === seen[1], seen[0] === seen[4], new Set(seen).size], [true, true, 3])
})

test('a thread that may no longer act sends nothing more, at a redirect either', async () => {
  let isLive = true
  await using server = await serve((response) => {
    isLive = false
    response.writeHead(302, { location: '/next' }).end()
  })
  const execution = { mode: 'sync' as const, network: withPort(server.port), isLive: () => isLive }
  const { error, attempts } = await executeHttp({ url: server.url, follow_redirects: true }, execution)
  assert.deepEqual([error?.code, attempts, server.requests.length], ['ABORTED', 1, 1])
})

test('a lookup that hangs ends with the connect timer, and with the caller’s signal', async () => {
  const lookup: Lookup = () => new Promise(() => {})
  const client = createHttpClient({ lookup })
  const controller = new AbortController()
  const config = { url: 'http://slow.test/', timeouts_ms: { connect: 20 } }
  const timed = await client.execute(config, { mode: 'sync', network: scoped() })
  const pending = client.execute({ url: config.url }, { mode: 'sync', network: scoped(), signal: controller.signal })
  controller.abort()
  assert.deepEqual(
    [timed.error?.code, timed.error?.detail?.['timer'], (await pending).error?.code],
    ['TIMEOUT', 'connect', 'ABORTED'],
  )
  client.close()
})

test('a name that is not found is the same failure as without a guard', async () => {
  const lookup: Lookup = () => Promise.reject(Object.assign(new Error('not found'), { code: 'ENOTFOUND' }))
  const { error } = await get('http://nobody.test/', scoped(), { lookup })
  assert.deepEqual([error?.code, error?.retryable], ['DNS_FAILED', true])
})

test('control characters and paths that would change the host are refused or stay in the path under a guard as well', async () => {
  await using server = await serve((response) => response.end())
  const network = withPort(server.port)
  const crlf = await get(server.url, network, { config: { headers: { 'x-a': 'a\r\nX: y' } } })
  await get(server.url, network, { config: { path: '@evil.test/x' } })
  await get(server.url, network, { config: { path: '//evil.test/x' } })
  assert.deepEqual(
    [crlf.error?.code, server.requests.map(({ path, headers }) => [path, headers.host])],
    [
      'CONFIG_VALIDATION_ERROR',
      [
        ['/@evil.test/x', `127.0.0.1:${server.port}`],
        ['//evil.test/x', `127.0.0.1:${server.port}`],
      ],
    ],
  )
})

// Fails when `runWebSocketAttempt` does not ask the guard, or does not hand its `lookup` to the socket.
test('threat row 11: a WebSocket is checked like a request', async () => {
  await using server = await serveTcp((socket) => socket.destroy())
  const { lookup, asked } = resolver(['127.0.0.1'])
  const client = createHttpClient({ lookup })
  const stream = async (url: string, network: NetworkGrant): Promise<HttpResult> =>
    client.execute({ url, stream: { transport: 'websocket' } }, { mode: 'stream', network })
  const literal = await stream(`ws://0x7f.1:${server.port}/`, scoped())
  const named = await stream(`ws://name.test:${server.port}/`, scoped())
  const unnamed = await stream(`ws://name.test:${server.port}/`, scoped({ allows: ({ protocol }) => protocol === 'http' }))
  assert.deepEqual([literal.error?.code, named.error?.code, literal.attempts], ['ADDRESS_DENIED', 'ADDRESS_DENIED', 0])
  assert.deepEqual(unnamed.error?.detail, { missing: [`net.websocket "name.test:${server.port}"`] })
  assert.deepEqual([server.connections(), asked], [0, ['name.test']])
  const allowed = await stream(`ws://name.test:${server.port}/`, withPort(server.port))
  client.close()
  assert.deepEqual([allowed.error?.code, server.connections()], ['CONNECTION_RESET', 1])
})
