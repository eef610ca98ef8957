import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { describe, test } from 'node:test'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { connectClient, eventually, INITIALIZE, JSON_HEADERS, openSession, send, serveFixture } from './served-fixture.ts'

const PING = JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'ping' })
const HANG = JSON.stringify({ jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name: 'hang', arguments: {} } })
const CANCEL = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 3 } })

for (const era of ['legacy', 'modern'] as const)
  describe(`a client of the ${era} era`, () => {
    test('lists tools and calls them, and the service sees neither token nor cookie', async (t) => {
      const { url, errors } = await serveFixture(t)
      const client = await connectClient(t, url, era)
      const { tools } = await client.listTools()
      assert.deepEqual(
        tools.map(({ name }) => name),
        ['echo', 'hang'],
      )
      const { content, structuredContent } = await client.callTool({ name: 'echo', arguments: { text: 'grüße 🥝' } })
      assert.deepEqual(content, [{ type: 'text', text: 'grüße 🥝' }])
      assert.doesNotMatch(JSON.stringify(structuredContent), /authorization|cookie/u)
      assert.match(JSON.stringify(structuredContent), /content-type/u)
      assert.deepEqual(errors, [])
    })

    test('cancels a call, and the signal of the call is aborted', async (t) => {
      const { url, events } = await serveFixture(t)
      const client = await connectClient(t, url, era)
      const [hanging, aborted] = [once(events, 'hanging'), once(events, 'aborted')]
      const controller = new AbortController()
      const call = client.callTool({ name: 'hang', arguments: {} }, { signal: controller.signal })
      await hanging
      controller.abort(new Error('enough'))
      await assert.rejects(call, /enough/u)
      await aborted
      assert.deepEqual((await client.callTool({ name: 'echo', arguments: { text: 'on' } })).content, [
        { type: 'text', text: 'on' },
      ])
    })

    test('is told to come again when too many calls are running, and is served when one has ended', async (t) => {
      const { url, events } = await serveFixture(t, { limits: { maxCalls: 2 } })
      const client = await connectClient(t, url, era)
      const controller = new AbortController()
      const calls: Promise<unknown>[] = []
      for (let started = 0; started < 2; started += 1) {
        const hanging = once(events, 'hanging')
        calls.push(client.callTool({ name: 'hang', arguments: {} }, { signal: controller.signal }))
        await hanging
      }
      await assert.rejects(client.callTool({ name: 'echo', arguments: {} }), /429|2 calls are running/u)
      controller.abort(new Error('enough'))
      await Promise.allSettled(calls)
      await eventually(() => succeeds(client.callTool({ name: 'echo', arguments: {} })), 'there is room again')
    })
  })

test('two clients have a session each, and one that is ended leaves the other alone', async (t) => {
  const { url, port } = await serveFixture(t)
  const kept = await connectClient(t, url, 'legacy')
  const ended = await connectClient(t, url, 'legacy')
  const { transport } = ended
  assert.ok(transport instanceof StreamableHTTPClientTransport)
  const { sessionId = '' } = transport
  await transport.terminateSession()
  const after = await send({ port, headers: { ...JSON_HEADERS, 'mcp-session-id': sessionId }, body: PING })
  assert.equal(after.status, 404)
  assert.equal(JSON.parse(after.text).error.code, -32_001)
  assert.equal((await kept.listTools()).tools.length, 2)
})

test('the call of a session that is ended is aborted', async (t) => {
  const { url, events } = await serveFixture(t)
  const client = await connectClient(t, url, 'legacy')
  const [hanging, aborted] = [once(events, 'hanging'), once(events, 'aborted')]
  void client.callTool({ name: 'hang', arguments: {} }).catch(() => undefined)
  await hanging
  const { transport } = client
  assert.ok(transport instanceof StreamableHTTPClientTransport)
  await transport.terminateSession()
  await aborted
})

test('a session needs its id, a real one, and is opened with initialize', async (t) => {
  const { port } = await serveFixture(t)
  const unknown = { ...JSON_HEADERS, 'mcp-session-id': 'b0b5c0de-0000-4000-8000-000000000000' }
  const answers = await Promise.all([
    send({ port, headers: JSON_HEADERS, body: PING }),
    send({ port, headers: unknown, body: PING }),
    send({ port, headers: unknown, body: INITIALIZE }),
    send({ port, method: 'GET', headers: unknown }),
    send({ port, method: 'GET', headers: JSON_HEADERS }),
    send({ port, method: 'DELETE', headers: unknown }),
    send({ port, headers: { ...JSON_HEADERS, 'mcp-session-id': '__proto__' }, body: PING }),
  ])
  assert.deepEqual(
    answers.map(({ status }) => status),
    [400, 404, 404, 404, 400, 404, 404],
  )
})

test('a session that is idle for long is ended, and one whose stream is open is not', async (t) => {
  const { port, events } = await serveFixture(t, { limits: { sessionIdleMs: 50 } })
  const watching = await openSession(port)
  const stream = openStream(port, watching)
  t.after(() => stream.destroy())
  await once(stream, 'response')
  const ended = once(events, 'closed')
  const idle = await openSession(port)
  await ended
  assert.deepEqual([await ping(port, idle), await ping(port, watching)], [404, 200])
})

test('a session whose call runs is not idle, even when the client hung up, and the call keeps its place', async (t) => {
  const { port, events } = await serveFixture(t, { limits: { sessionIdleMs: 50, maxCalls: 2 } })
  const busy = await openSession(port)
  const headers = { ...JSON_HEADERS, 'mcp-session-id': busy }
  const [hanging, aborted] = [once(events, 'hanging'), once(events, 'aborted')]
  const call = httpRequest({ port, path: '/mcp', method: 'POST', headers: { host: `localhost:${port}`, ...headers } }).end(HANG)
  call.on('error', () => undefined)
  await hanging
  call.destroy()
  const ended = once(events, 'closed')
  await openSession(port)
  await ended
  // Hanging up cancels nothing in this era.
  const two = JSON.stringify([5, 6].map((id) => ({ jsonrpc: '2.0', id, method: 'ping' })))
  assert.equal((await send({ port, headers, body: two })).status, 429)
  assert.equal((await send({ port, headers, body: CANCEL })).status, 202)
  await aborted
  assert.equal((await send({ port, headers, body: two })).status, 200)
})

test('more sessions than the limit take the place of the idlest one, and are refused while all are in use', async (t) => {
  const { port } = await serveFixture(t, { limits: { maxSessions: 3, sessionSpareMs: 0 } })
  const sessions = [await openSession(port), await openSession(port), await openSession(port)]
  assert.equal(await ping(port, sessions[0] ?? ''), 200)
  const fourth = await openSession(port)
  assert.deepEqual(await Promise.all([...sessions, fourth].map((id) => ping(port, id))), [200, 404, 200, 200])
  const streams = [sessions[0], sessions[2], fourth].map((id = '') => openStream(port, id))
  t.after(() => {
    for (const stream of streams) stream.destroy()
  })
  await Promise.all(streams.map((stream) => once(stream, 'response')))
  const refused = await send({ port, headers: JSON_HEADERS, body: INITIALIZE })
  assert.equal(refused.status, 503)
  assert.match(String(refused.headers['retry-after']), /^\d+$/u)
  streams[0]?.destroy()
  await eventually(
    async () => (await send({ port, headers: JSON_HEADERS, body: INITIALIZE })).status === 200,
    'a session was given up',
  )
})

test('a flood of sessions holds no more than the limit', async (t) => {
  const { port } = await serveFixture(t, { limits: { maxSessions: 8 } })
  const answers = await Promise.all(Array.from({ length: 60 }, () => send({ port, headers: JSON_HEADERS, body: INITIALIZE })))
  const opened = answers.filter(({ status }) => status === 200)
  assert.equal(opened.length, 8)
  assert.equal(answers.filter(({ status }) => status === 503).length, 52)
})

test('an initialize that is refused leaves no session behind', async (t) => {
  const { port } = await serveFixture(t, { limits: { maxSessions: 1 } })
  const { accept: _, ...others } = JSON_HEADERS
  const body = INITIALIZE
  for (let turn = 0; turn < 3; turn += 1) assert.equal((await send({ port, headers: others, body })).status, 406)
  assert.equal((await send({ port, headers: JSON_HEADERS, body: `[${body},${body}]` })).status, 400)
  assert.equal((await send({ port, headers: JSON_HEADERS, body })).status, 200)
})

test('an id that is used twice at once is refused, and the first call is not disturbed', async (t) => {
  const { port, events } = await serveFixture(t)
  const session = await openSession(port)
  const headers = { ...JSON_HEADERS, 'mcp-session-id': session }
  const hanging = once(events, 'hanging')
  const aborted = once(events, 'aborted')
  const first = send({ port, headers, body: HANG })
  await hanging
  assert.equal((await send({ port, headers, body: HANG })).status, 400)
  assert.equal((await send({ port, headers, body: `[${PING},${PING}]` })).status, 400)
  await send({ port, headers, body: CANCEL })
  await aborted
  assert.equal((await first).status, 200)
})

test('clients that hang up at any moment leave no place taken and no session behind', async (t) => {
  const { port, url } = await serveFixture(t, { limits: { maxCalls: 2, maxSessions: 2, sessionIdleMs: 50, sessionSpareMs: 0 } })
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
  }
  const modern = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'hang', arguments: {}, _meta: meta },
  })
  const modernHeaders = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'hang' }
  const hangUps = Array.from({ length: 100 }, (_, index) => {
    const isModern = index % 2 === 0
    const body = isModern ? modern : INITIALIZE
    const headers = { host: `localhost:${port}`, ...JSON_HEADERS, ...(isModern ? modernHeaders : {}) }
    const request = httpRequest({ port, path: '/mcp', method: 'POST', headers, agent: false })
    request.on('error', () => undefined)
    request.end(body, () => setTimeout(() => request.destroy(), index % 10))
    return new Promise((resolve) => request.once('close', resolve))
  })
  await Promise.all(hangUps)
  for (const era of ['modern', 'legacy'] as const)
    await eventually(async () => {
      const client = await connectClient(t, url, era).catch(() => null)
      return client !== null && succeeds(client.callTool({ name: 'echo', arguments: {} }))
    }, `a client of the ${era} era is served`)
})

test('a batch counts as many calls as it has requests', async (t) => {
  const { port } = await serveFixture(t, { limits: { maxCalls: 4 } })
  const session = await openSession(port)
  const batch = (size: number): string =>
    JSON.stringify(Array.from({ length: size }, (_, id) => ({ jsonrpc: '2.0', id: id + 10, method: 'ping' })))
  const headers = { ...JSON_HEADERS, 'mcp-session-id': session }
  assert.equal((await send({ port, headers, body: batch(5) })).status, 429)
  assert.equal((await send({ port, headers, body: batch(4) })).status, 200)
  assert.equal((await send({ port, headers, body: batch(4) })).status, 200)
})

test('subscriptions of the newer era are told what changed, and nothing is watched when there is none', async (t) => {
  const { url, watchers, change } = await serveFixture(t)
  const client = await connectClient(t, url, 'modern')
  assert.equal(watchers(), 0)
  const updates: string[] = []
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => void updates.push(params.uri))
  const subscription = await client.listen({ resourceSubscriptions: ['thread://a'] })
  assert.equal(watchers(), 1)
  change('thread://b')
  change('thread://a')
  await eventually(() => updates.length > 0, 'an update came')
  assert.deepEqual(updates, ['thread://a'])
  await subscription.close()
  await eventually(() => watchers() === 0, 'nobody watches')
})

async function ping(port: number, session: string): Promise<number | undefined> {
  return (await send({ port, headers: { ...JSON_HEADERS, 'mcp-session-id': session }, body: PING })).status
}

function openStream(port: number, session: string): ReturnType<typeof httpRequest> {
  const headers = { ...JSON_HEADERS, host: `127.0.0.1:${port}`, 'mcp-session-id': session }
  const stream = httpRequest({ host: '127.0.0.1', port, path: '/mcp', headers, agent: false })
  stream.on('error', () => undefined)
  return stream.end()
}

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  )
}
