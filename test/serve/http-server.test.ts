import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { KiwiError } from '../../src/kernel/errors.ts'
import { serveMcpHttp } from '../../src/serve/http-server.ts'
import {
  AUTHORIZED,
  connectClient,
  eventually,
  INITIALIZE,
  JSON_HEADERS,
  openSession,
  send,
  serveFixture,
} from './served-fixture.ts'

test('every other path is not found, and says so as JSON', async (t) => {
  const { port } = await serveFixture(t)
  const paths = [
    '/',
    '/mcp/',
    '/MCP',
    '/mcp/../mcp',
    '//mcp',
    '/favicon.ico',
    '/.well-known/oauth-protected-resource',
    'http://evil.example/mcp',
    '*',
  ]
  const answers = await Promise.all(paths.map((path) => send({ port, path, method: 'GET', headers: AUTHORIZED })))
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([404]))
  for (const answer of answers) assert.equal(typeof JSON.parse(answer.text).error.message, 'string')
})

test('a method that means nothing here is answered with those that do', async (t) => {
  const { port } = await serveFixture(t)
  const { status, headers } = await send({ port, method: 'PUT', headers: AUTHORIZED })
  assert.deepEqual([status, headers.allow], [405, 'POST, GET, DELETE'])
})

test('a client that asks for the end of its connection is not told that it stays', async (t) => {
  const { port } = await serveFixture(t)
  const { status, headers } = await send({ port, headers: { ...JSON_HEADERS, connection: 'close' }, body: INITIALIZE })
  assert.deepEqual([status, headers['content-type'], headers.connection], [200, 'text/event-stream', 'close'])
})

test('a body that is nested too deeply, holds too many values or too many messages is refused before it is parsed or handed on', async (t) => {
  const { port } = await serveFixture(t)
  const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
  const wide = `{"params":[${'1,'.repeat(600_000)}1]}`
  const many = `[${Array.from({ length: 101 }, () => INITIALIZE).join(',')}]`
  for (const body of [deep, wide, many]) {
    const { status, text: told } = await send({ port, headers: JSON_HEADERS, body })
    assert.equal(status, 400)
    assert.match(told, /-32600.*nested too deeply/u)
  }
})

test('a body that is too large is refused, whether its length is told, is not, or is a lie', async (t) => {
  const { port } = await serveFixture(t, { limits: { maxBodyBytes: 1000 } })
  const told = await send({ port, headers: { ...JSON_HEADERS, 'content-length': '1001' }, body: Buffer.alloc(1001, ' ') })
  const untold = await send({
    port,
    headers: { ...JSON_HEADERS, 'transfer-encoding': 'chunked' },
    body: Buffer.alloc(200_000, ' '),
  })
  assert.deepEqual([told.status, untold.status], [413, 413])
  assert.match(told.text, /at most 1000 bytes/u)
  assert.equal((await send({ port, headers: JSON_HEADERS, body: INITIALIZE })).status, 200)
})

test('a body that was announced as huge is refused before any of it has come', async (t) => {
  const { port } = await serveFixture(t)
  const socket = connect(port, '127.0.0.1')
  socket.write(head(port, { ...JSON_HEADERS, 'content-length': String(4 * 1024 * 1024 + 1) }))
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  assert.match(chunk.toString(), /^HTTP\/1\.1 413 /u)
})

test('a body of exactly the limit is read', async (t) => {
  const { port } = await serveFixture(t)
  const body = INITIALIZE.padEnd(4 * 1024 * 1024)
  assert.equal((await send({ port, headers: JSON_HEADERS, body })).status, 200)
})

test('a client that sends for ever, refused, is cut off', async (t) => {
  const { port } = await serveFixture(t, { limits: { requestTimeoutMs: 3_600_000 } })
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(head(port, { 'transfer-encoding': 'chunked' }))
  const chunk = `10000\r\n${'x'.repeat(0x1_0000)}\r\n`
  const push = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  }
  socket.on('drain', push)
  push()
  await new Promise((resolve) => socket.once('close', resolve))
  assert.equal((await send({ port, headers: JSON_HEADERS, body: INITIALIZE })).status, 200)
})

test('what is not JSON, and JSON that is no message, is refused, and the server goes on', async (t) => {
  const { port } = await serveFixture(t)
  const bodies = [
    '',
    '{',
    '"',
    'null',
    '1',
    '[]',
    '{}',
    '{"jsonrpc":"2.0"}',
    '[[[]]]',
    Buffer.from([0x22, 0xff, 0x22]),
    '['.repeat(1_000_000),
  ]
  const nested = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`
  const modern = { ...JSON_HEADERS, 'mcp-protocol-version': '2026-07-28' }
  const answers = await Promise.all(
    [...bodies, nested].flatMap((body) => [send({ port, headers: JSON_HEADERS, body }), send({ port, headers: modern, body })]),
  )
  for (const { status = 0, text: answer } of answers) {
    assert.ok(status >= 400 && status < 500, `${status} ${answer}`)
    assert.equal(typeof JSON.parse(answer).error.code, 'number')
  }
  assert.equal((await send({ port, headers: JSON_HEADERS, body: INITIALIZE })).status, 200)
})

test('a head, or a body, that comes drop by drop is given up', async (t) => {
  const { port } = await serveFixture(t, { limits: { headersTimeoutMs: 300, requestTimeoutMs: 600 } })
  const slow = [`POST /mcp HTTP/1.1\r\nhost: localhost\r\nx-drop: `, head(port, { ...JSON_HEADERS, 'content-length': '1000' })]
  const answers = await Promise.all(slow.map((start) => dribble(t.signal, port, start)))
  for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 408 /u)
  assert.equal((await send({ port, headers: JSON_HEADERS, body: INITIALIZE })).status, 200)
})

test('a stream on which nothing moves is closed, and others are served', async (t) => {
  const { port } = await serveFixture(t, { limits: { socketIdleMs: 300 } })
  const session = await openSession(port)
  const socket = connect(port, '127.0.0.1')
  socket.write(head(port, { ...JSON_HEADERS, 'mcp-session-id': session }, 'GET'))
  assert.match(await text(socket), /^HTTP\/1\.1 200 /u)
  assert.equal((await send({ port, headers: JSON_HEADERS, body: INITIALIZE })).status, 200)
})

test('more connections than the limit are closed, and those below it are served', async (t) => {
  const { port } = await serveFixture(t, { limits: { maxConnections: 3 } })
  const held = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  await Promise.all(held.map((socket) => once(socket, 'connect')))
  await assert.rejects(send({ port, headers: JSON_HEADERS, body: INITIALIZE }))
  held[0]?.destroy()
  await eventually(() => isServing(port), 'a place is free again')
  for (const socket of held) socket.destroy()
})

test('a port that is in use is named, with what to do', async (t) => {
  const { port } = await serveFixture(t)
  const second = serveFixture(t, { port })
  await assert.rejects(
    second,
    (error) => error instanceof KiwiError && /Port \d+ is in use.*--port/su.test(error.message + error.context.suggestion),
  )
  await assert.rejects(serveFixture(t, { port: 99_999 }), /Listening on port 99999 failed/u)
})

test('an address that others can reach is refused', async () => {
  const serving = {
    factory: () => assert.fail(),
    onResourceUpdated: () => () => undefined,
    onResourceListChanged: () => () => undefined,
  }
  for (const host of ['0.0.0.0', '::', '192.168.0.1', 'localhost', ''])
    await assert.rejects(serveMcpHttp({ serving, port: 0, token: 'x', host: host as '::1' }), /127\.0\.0\.1 or ::1 only/u)
})

test('the other address of the loopback is served as well, where the machine has it', async (t) => {
  const outcome = await serveFixture(t, { host: '::1' }).then(
    ({ url }) => url,
    (error: unknown) => String(error),
  )
  assert.match(outcome, /^http:\/\/\[::1\]:\d+\/mcp$|failed: E\w+\.$/u)
})

test('a server that is closed lets running calls end', async (t) => {
  const served = await serveFixture(t)
  const client = await connectClient(t, served.url, 'modern')
  const calls = Array.from({ length: 20 }, (_, index) => client.callTool({ name: 'echo', arguments: { text: String(index) } }))
  await Promise.all(calls.slice(0, 1))
  await served.close()
  const outcomes = await Promise.allSettled(calls)
  // Each was answered, or never let in; none was cut off in the middle without an error.
  for (const outcome of outcomes) assert.ok(outcome.status === 'rejected' || outcome.value.isError !== true)
})

for (const era of ['legacy', 'modern'] as const)
  test(`a server that is closed aborts calls of the ${era} era that do not end`, async (t) => {
    const served = await serveFixture(t, { limits: { closeGraceMs: 50 } })
    const client = await connectClient(t, served.url, era)
    const hanging = once(served.events, 'hanging')
    const call = assert.rejects(client.callTool({ name: 'hang', arguments: {} }, { timeout: 30_000 }))
    await hanging
    const aborted = once(served.events, 'aborted')
    await Promise.all([served.close(), aborted])
    await client.close()
    await call
    await assert.rejects(send({ port: served.port, headers: JSON_HEADERS, body: INITIALIZE }), /ECONNREFUSED/u)
  })

async function isServing(port: number): Promise<boolean> {
  try {
    return (await send({ port, headers: JSON_HEADERS, body: INITIALIZE })).status === 200
  } catch {
    return false
  }
}

function head(port: number, headers: Readonly<Record<string, string>>, method = 'POST'): string {
  const lines = Object.entries({ host: `127.0.0.1:${port}`, ...headers }).map(([name, value]) => `${name}: ${value}`)
  return `${method} /mcp HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
}

/** Sends the start, then one byte after another until the server has answered and hung up. */
async function dribble(signal: AbortSignal, port: number, start: string): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1')
  let answer = ''
  // A drop that meets the closed connection resets it, after the answer.
  socket.on('error', () => undefined).on('data', (chunk: Buffer) => (answer += chunk.toString()))
  socket.write(start)
  const drops = setInterval(() => socket.write('x'), 20)
  signal.addEventListener('abort', () => socket.destroy())
  await new Promise((resolve) => socket.once('end', resolve).once('close', resolve))
  clearInterval(drops)
  socket.destroy()
  return answer
}
