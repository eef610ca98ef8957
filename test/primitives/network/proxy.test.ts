import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startProxy } from '../../../src/primitives/network/proxy.ts'
import type { NetworkProxy, ProxyOptions } from '../../../src/primitives/network/proxy.ts'
import type { NetworkPolicy } from '../../../src/primitives/sandbox/contract.ts'
import { serve, serveTcp } from '../http-client/loopback.ts'

interface TestProxy extends NetworkProxy, AsyncDisposable {
  readonly socketPath: string
}

const toPort = (...ports: readonly number[]): NetworkPolicy => ({
  allows: ({ host }) => host !== 'evil.test',
  allowsPrivate: ({ port }) => ports.includes(port),
})

async function proxy(policy: NetworkPolicy, options: Partial<ProxyOptions> = {}): Promise<TestProxy> {
  const folder = await mkdtemp(join(tmpdir(), 'kiwi-proxy-'))
  await chmod(folder, 0o700)
  const socketPath = join(folder, 'net.sock')
  const lookup = async (): Promise<{ address: string }[]> => [{ address: '127.0.0.1' }]
  const signal = new AbortController().signal
  const started = await startProxy({ policy, isLive: () => true, socketPath, signal, lookup, ...options }).catch(
    async (error) => {
      await rm(folder, { recursive: true })
      throw error
    },
  )
  const dispose = async (): Promise<void> => {
    await started.close()
    await rm(folder, { recursive: true })
  }
  return { ...started, socketPath, [Symbol.asyncDispose]: dispose }
}

interface Client {
  readonly socket: net.Socket
  /** Everything that came until the connection ended. */
  readonly all: Promise<string>
  /** Resolves when the text has come. */
  readonly receives: (text: string) => Promise<void>
}

function connect(socketPath: string, text: string): Client {
  const socket = net.connect(socketPath)
  let received = ''
  let onData = (): void => {}
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
    onData()
  })
  // Connections are cut here on purpose.
  socket.on('error', () => socket.destroy())
  socket.write(text)
  const all = new Promise<string>((resolve) => socket.once('close', () => resolve(received)))
  const receives = (wanted: string): Promise<void> =>
    new Promise((resolve) => {
      onData = () => {
        if (received.includes(wanted)) resolve()
      }
      onData()
    })
  return { socket, all, receives }
}

const ask = async (socketPath: string, text: string): Promise<string> => await connect(socketPath, text).all

test('the socket is for its owner alone, and is gone after the close, which can be repeated', async () => {
  await using running = await proxy(toPort())
  assert.equal((await stat(running.socketPath)).mode & 0o777, 0o600)
  await running.close()
  await running.close()
  await assert.rejects(stat(running.socketPath), { code: 'ENOENT' })
})

test('a tunnel carries bytes both ways and passes the end of each side on', async () => {
  await using server = await serveTcp((socket) => socket.pipe(socket))
  await using running = await proxy(toPort(server.port))
  const client = connect(running.socketPath, `CONNECT echo.test:${server.port} HTTP/1.1\r\nHost: x\r\n\r\nearly `)
  await client.receives('early')
  client.socket.end('late')
  assert.equal(await client.all, 'HTTP/1.1 200 Connection Established\r\n\r\nearly late')
})

// Fails when `createDecision` lets through what `resolveTarget` denied.
test('threat row 11: a tunnel or request to an address that is not public, or to a host without a scope, is refused before a connection', async () => {
  await using server = await serveTcp((socket) => socket.destroy())
  await using running = await proxy(toPort())
  const { port } = server
  const hosts = [
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '2130706433',
    '0177.0.0.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::]',
    'localhost',
    'name.test',
    'evil.test',
    'localhost.',
    'a%62',
    '169.254.169.254',
  ]
  for (const host of hosts) {
    const tunnel = await ask(running.socketPath, `CONNECT ${host}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`)
    assert.match(tunnel, /^HTTP\/1\.1 403 Forbidden\r\n(?:[^\r\n]+\r\n)*\r\n[^\r\n]+\n$/, host)
    assert.match(
      await ask(running.socketPath, `GET http://${host}:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`),
      /^HTTP\/1\.1 403 /,
      host,
    )
  }
  assert.equal(server.connections(), 0)
  assert.deepEqual(running.denied().slice(0, 2), [`127.0.0.1:${port}`, `127.1:${port}`])
  assert.equal(running.denied().includes(`evil.test:${port}`), true)
})

test('a request is passed on with its body and answer, without what is between a client and its proxy', async () => {
  await using server = await serve((response) =>
    response.writeHead(201, { 'x-answer': 'yes', 'keep-alive': 'timeout=1' }).end('created'),
  )
  await using running = await proxy(toPort(server.port))
  const head = [
    `POST http://api.test:${server.port}/a/b?c=d HTTP/1.1`,
    'Host: elsewhere.test',
    'Connection: close, X-Hop',
    'X-Hop: 1',
    'X-End: 2',
    'Proxy-Authorization: Basic c2VjcmV0',
    'Proxy-Connection: keep-alive',
    'Upgrade: h2c',
    'TE: trailers',
    'Transfer-Encoding: chunked',
  ]
  const answer = await ask(running.socketPath, `${head.join('\r\n')}\r\n\r\n5\r\nhello\r\n0\r\n\r\n`)
  const [request] = server.requests
  assert.match(answer, /^HTTP\/1\.1 201 Created\r\n[^]*x-answer: yes\r\n[^]*created/)
  assert.doesNotMatch(answer, /timeout=1/)
  assert.deepEqual([request?.method, request?.path, request?.body, request?.headers['x-end']], ['POST', '/a/b?c=d', 'hello', '2'])
  const { host, connection, ...headers } = request?.headers ?? {}
  assert.deepEqual(
    [host, connection, Object.keys(headers).toSorted()],
    [`api.test:${server.port}`, 'close', ['transfer-encoding', 'x-end']],
  )
})

test('each request on one connection is checked on its own', async () => {
  await using server = await serve((response) => response.end('allowed'))
  await using running = await proxy(toPort(server.port))
  const good = `GET http://api.test:${server.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`
  const client = connect(running.socketPath, good)
  await client.receives('allowed')
  client.socket.write('GET http://evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.match(await client.all, /^HTTP\/1\.1 200 OK[^]*HTTP\/1\.1 403 Forbidden/)
  assert.equal(server.requests.length, 1)
})

test('other forms of requests are refused', async () => {
  await using running = await proxy({ allows: () => assert.fail('asked'), allowsPrivate: () => true })
  const heads = [
    'GET /',
    'GET https://a.test/',
    'GET http://user:pw@a.test/',
    'GET ftp://a.test/',
    'OPTIONS *',
    'CONNECT a.test:0',
    'CONNECT a.test:65536',
  ]
  for (const head of heads)
    assert.match(await ask(running.socketPath, `${head} HTTP/1.1\r\nHost: x\r\n\r\n`), /^HTTP\/1\.1 403 /, head)
  for (const head of ['CONNECT a.test', 'nonsense', 'GET http://a.test:99999/'])
    assert.match(await ask(running.socketPath, `${head} HTTP/1.1\r\nHost: x\r\n\r\n`), /^HTTP\/1\.1 40[03] /, head)
})

test('a head that is too long is refused', async () => {
  await using running = await proxy(toPort())
  const long = 'x'.repeat(20_000)
  assert.match(await ask(running.socketPath, `GET http://a.test/ HTTP/1.1\r\nX: ${long}\r\n\r\n`), /^HTTP\/1\.1 431 /)
  assert.match(await ask(running.socketPath, `GET http://a.test/${long} HTTP/1.1\r\nHost: x\r\n\r\n`), /^HTTP\/1\.1 431 /)
})

test('a server that is not there, hangs up or cannot be looked up is told as a bad gateway', async () => {
  await using server = await serveTcp((socket) => socket.destroy())
  await using running = await proxy(toPort(server.port, 1))
  const lookup = (): Promise<never> => Promise.reject(new Error('no resolver'))
  await using blind = await proxy(toPort(), { lookup })
  const request = (path: string, port: number): Promise<string> =>
    ask(path, `GET http://a.test:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
  assert.match(await request(running.socketPath, server.port), /^HTTP\/1\.1 502 /)
  assert.match(await request(running.socketPath, 1), /^HTTP\/1\.1 502 /)
  assert.match(await request(blind.socketPath, 80), /^HTTP\/1\.1 502 /)
  assert.match(await ask(running.socketPath, 'CONNECT a.test:1 HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 502 /)
  assert.deepEqual(running.denied(), [])
})

test('a lookup that hangs, a tunnel that is idle and a connection that lasts too long all end', async () => {
  await using server = await serveTcp((socket) => socket.on('data', (chunk) => socket.write(chunk)))
  const lookup = (): Promise<never> => new Promise(() => {})
  await using hanging = await proxy(toPort(), { lookup, timeoutsMs: { connectMs: 20 } })
  await using idle = await proxy(toPort(server.port), { timeoutsMs: { idleMs: 30 } })
  await using short = await proxy(toPort(server.port), { timeoutsMs: { totalMs: 30 } })
  const tunnel = `CONNECT a.test:${server.port} HTTP/1.1\r\nHost: x\r\n\r\n`
  assert.match(await ask(hanging.socketPath, 'CONNECT a.test:443 HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 504 /)
  assert.match(await ask(idle.socketPath, tunnel), /^HTTP\/1\.1 200 /)
  assert.match(await ask(short.socketPath, tunnel), /^HTTP\/1\.1 200 /)
})

test('open tunnels end with the proxy, with its signal, and when the thread may no longer act', async () => {
  let isLive = true
  const controller = new AbortController()
  await using server = await serveTcp(() => {})
  await using closing = await proxy(toPort(server.port))
  await using aborted = await proxy(toPort(server.port), { signal: controller.signal })
  await using revoked = await proxy(toPort(server.port), { isLive: () => isLive })
  const tunnels = [closing, aborted, revoked].map(({ socketPath }) =>
    connect(socketPath, `CONNECT a.test:${server.port} HTTP/1.1\r\nHost: x\r\n\r\n`),
  )
  await Promise.all(tunnels.map(async ({ receives }) => await receives('200')))
  isLive = false
  controller.abort()
  await closing.close()
  await Promise.all(tunnels.map(async ({ all }) => await all))
  assert.match(
    await ask(revoked.socketPath, 'CONNECT a.test:443 HTTP/1.1\r\nHost: x\r\n\r\n'),
    /^HTTP\/1\.1 403 [^]*may no longer act/,
  )
  await assert.rejects(stat(aborted.socketPath), { code: 'ENOENT' })
})

test('a client that hangs up takes its connection to the server with it', async () => {
  const ended: Promise<unknown>[] = []
  await using server = await serveTcp((socket) => void ended.push(once(socket, 'close')))
  await using running = await proxy(toPort(server.port))
  const client = connect(running.socketPath, `CONNECT a.test:${server.port} HTTP/1.1\r\nHost: x\r\n\r\n`)
  await client.receives('200')
  client.socket.destroy()
  await client.all
  assert.equal((await Promise.all(ended)).length, 1)
})

test('more than 64 connections at a time are not taken', async () => {
  await using running = await proxy(toPort())
  const sockets: net.Socket[] = []
  for (let index = 0; index < 64; index += 1) {
    const socket = net.connect(running.socketPath)
    socket.on('error', () => socket.destroy())
    await once(socket, 'connect')
    sockets.push(socket)
  }
  assert.equal(await ask(running.socketPath, 'CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n'), '')
  for (const socket of sockets) socket.destroy()
})

test('a path that cannot be a socket, and a signal that has fired, are errors', async () => {
  await assert.rejects(proxy(toPort(), { socketPath: '/nowhere/at/all/net.sock' }))
  await assert.rejects(proxy(toPort(), { signal: AbortSignal.abort() }), { name: 'AbortError' })
})
