import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { AUTHORIZED, INITIALIZE, JSON_HEADERS, openSession, send, serveFixture, TOKEN } from './served-fixture.ts'

const METHODS = ['GET', 'POST', 'DELETE', 'OPTIONS', 'PUT', 'HEAD']

// Guard: the Host rule of `placeProblem` in src/serve/request-guards.ts.
test('threat row 38: a page whose name was rebound to loopback is refused, whatever it asks and even with the token', async (t) => {
  const { port } = await serveFixture(t)
  const hosts = [
    `evil.example:${port}`,
    'evil.example',
    `127.0.0.1.evil.example:${port}`,
    `evil.example@127.0.0.1:${port}`,
    `127.0.0.1:${port}@evil.example`,
    `127.0.0.1:${port}/x`,
    `localhost.:${port}`,
    `0.0.0.0:${port}`,
    `2130706433:${port}`,
    '',
  ]
  const asked = hosts.flatMap((host) => METHODS.map((method) => ({ method, headers: { ...JSON_HEADERS, host } })))
  const answers = await Promise.all(asked.map(({ method, headers }) => send({ port, method, headers })))
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([403]))
})

// Guard: the Origin rule of `placeProblem` in src/serve/request-guards.ts.
test('threat row 38: a page of another site is refused, whatever it asks and even with the token', async (t) => {
  const { port } = await serveFixture(t)
  const origins = [
    'http://evil.example',
    `http://evil.example:${port}`,
    'null',
    '',
    'http://127.0.0.1:1',
    'http://localhost',
    `https://127.0.0.1:${port}`,
    `http://127.0.0.1:${port}.evil.example`,
    'file://',
    'vscode-webview://abc',
  ]
  const asked = origins.flatMap((origin) => METHODS.map((method) => ({ method, headers: { ...JSON_HEADERS, origin } })))
  const answers = await Promise.all(asked.map(({ method, headers }) => send({ port, method, headers })))
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([403]))
})

// Guard: `host.length !== 1` of `placeProblem`; node:http itself shows the first of two.
test('threat row 38: a request with two hosts, with none, with a port that is none, or for a web socket from elsewhere, is refused', async (t) => {
  const { port } = await serveFixture(t)
  const heads = [
    `GET /mcp HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nhost: evil.example\r\n`,
    'GET /mcp HTTP/1.0\r\n',
    `GET /mcp HTTP/1.1\r\nhost: evil.example:${port}\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n`,
    'GET /mcp HTTP/1.1\r\nhost: 127.0.0.1:99999\r\n',
    'GET /mcp HTTP/1.1\r\n',
  ]
  const statuses = await Promise.all(
    heads.map((head) => rawStatus(port, `${head}authorization: Bearer ${TOKEN}\r\nconnection: close\r\n\r\n`)),
  )
  // The last one by node:http, which knows what HTTP/1.1 asks for.
  assert.deepEqual(
    statuses.map((status) => status.split(' ')[1]),
    ['403', '403', '403', '403', '400'],
  )
})

// Guard: `isJsonContentType` in src/serve/mcp-endpoint.ts: other types need no preflight in a browser.
test('threat row 38: a body that is not declared as JSON is refused unread', async (t) => {
  const { port } = await serveFixture(t)
  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain; application/json',
  ]
  const answers = await Promise.all(
    types.map((type) => send({ port, headers: { ...JSON_HEADERS, 'content-type': type }, body: INITIALIZE })),
  )
  const without = await send({ port, headers: AUTHORIZED, body: INITIALIZE })
  assert.deepEqual(new Set([...answers, without].map(({ status }) => status)), new Set([415]))
})

test('a client on this machine is let in under each name of the loopback, and a page of this server too', async (t) => {
  const { port } = await serveFixture(t)
  const ways = [
    { host: `127.0.0.1:${port}` },
    { host: `localhost:${port}` },
    { host: `[::1]:${port}` },
    { host: 'localhost:9' },
    { host: `localhost:${port}`, origin: `http://localhost:${port}` },
  ]
  const answers = await Promise.all(ways.map((way) => send({ port, headers: { ...JSON_HEADERS, ...way }, body: INITIALIZE })))
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
})

test('no answer lets another site read it', async (t) => {
  const { port } = await serveFixture(t)
  const { status, headers } = await send({
    port,
    method: 'OPTIONS',
    headers: { origin: `http://127.0.0.1:${port}`, 'access-control-request-method': 'POST' },
  })
  assert.equal(status, 401)
  assert.deepEqual(
    Object.keys(headers).filter((name) => name.startsWith('access-control')),
    [],
  )
})

// Guard: `bearsToken` in src/serve/request-guards.ts.
test('threat row 39: a local user without the token is refused', async (t) => {
  const { port } = await serveFixture(t)
  const wrong = [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Bearer ${TOKEN.slice(0, -1)}1`,
    `Bearer ${TOKEN}0`,
    `Bearer ${TOKEN.slice(0, -1)}`,
    `Bearer ${TOKEN.toLowerCase()}`,
    `Basic ${TOKEN}`,
    TOKEN,
    `Bearer ${TOKEN} ${TOKEN}`,
    `Bearer x, Bearer ${TOKEN}`,
    'Bearer undefined',
    'Bearer null',
  ]
  const answers = await Promise.all(
    wrong.map((authorization) => {
      const { authorization: _, ...others } = JSON_HEADERS
      return send({ port, headers: { ...others, ...(authorization === undefined ? {} : { authorization }) }, body: INITIALIZE })
    }),
  )
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([401]))
  assert.deepEqual(new Set(answers.map(({ headers }) => headers['www-authenticate'])), new Set(['Bearer realm="kiwi"']))
  assert.ok(answers.every((answer) => !answer.text.includes(TOKEN.slice(0, 10))))
})

test('threat row 39: the token counts in its header only, not in the address, a cookie or twice', async (t) => {
  const { port } = await serveFixture(t)
  const { authorization, ...others } = JSON_HEADERS
  const answers = await Promise.all([
    send({ port, path: `/mcp?token=${TOKEN}&access_token=${TOKEN}`, headers: others, body: INITIALIZE }),
    send({ port, headers: { ...others, cookie: `token=${TOKEN}` }, body: INITIALIZE }),
  ])
  assert.deepEqual(
    answers.map(({ status }) => status),
    [401, 401],
  )
  const twice = `GET /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: ${authorization}\r\nauthorization: Bearer x\r\nconnection: close\r\n\r\n`
  assert.match(await rawStatus(port, twice), /^HTTP\/1\.1 401 /u)
})

test('a token that changed holds at once, and one that cannot be read lets nobody in', async (t) => {
  const state = { token: TOKEN }
  const { port, errors } = await serveFixture(t, {
    token: () => {
      if (state.token === '') throw new Error('The file is open to others.')
      return state.token
    },
  })
  const ask = async (): Promise<number | undefined> => (await send({ port, headers: JSON_HEADERS, body: INITIALIZE })).status
  assert.equal(await ask(), 200)
  state.token = 'another'
  assert.equal(await ask(), 401)
  state.token = ''
  assert.equal(await ask(), 503)
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['The file is open to others.'],
  )
})

// Guard: `endRevoked` in src/serve/http-server.ts.
test('threat row 39: a stream that was opened with a token ends when another one holds', async (t) => {
  const state = { token: TOKEN }
  const { port } = await serveFixture(t, { token: () => state.token, limits: { tokenCheckMs: 20 } })
  const session = await openSession(port)
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  const stream = { ...JSON_HEADERS, host: `127.0.0.1:${port}`, 'mcp-session-id': session }
  const lines = Object.entries(stream).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`GET /mcp HTTP/1.1\r\n${lines.join('')}\r\n`)
  const [head] = (await once(socket, 'data')) as [Buffer]
  assert.match(head.toString(), /^HTTP\/1\.1 200 /u)
  const closed = once(socket, 'close', { signal: AbortSignal.timeout(20_000) })
  state.token = 'another'
  await closed
})

/** The first line of the answer to bytes that no client library would send. */
async function rawStatus(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes)
  return (await text(socket)).split('\r\n', 1)[0] ?? ''
}
