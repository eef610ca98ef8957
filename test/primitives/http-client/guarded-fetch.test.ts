import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createGuardedFetch, GuardedFetchError } from '../../../src/primitives/http-client/guarded-fetch.ts'
import type { GuardedFetch, GuardedFetchOptions } from '../../../src/primitives/http-client/guarded-fetch.ts'
import type { NetworkGrant } from '../../../src/primitives/sandbox/contract.ts'
import { closedPort, serve, serveTcp } from './loopback.ts'

const OPEN: NetworkGrant = { kind: 'open' }
const made: GuardedFetch[] = []

function fetchWith(options: Partial<GuardedFetchOptions> = {}): GuardedFetch['fetch'] {
  const guarded = createGuardedFetch({ network: OPEN, ...options })
  made.push(guarded)
  return guarded.fetch
}

before(() => (made.length = 0))
after(() => {
  for (const guarded of made) guarded.close()
})

async function errorOf(promise: Promise<unknown>): Promise<GuardedFetchError> {
  const outcome: unknown = await promise.then(
    () => 'an answer',
    (error: unknown) => error,
  )
  if (outcome instanceof GuardedFetchError) return outcome
  throw new Error(`Expected a GuardedFetchError, got ${String(outcome)}`)
}

describe('an answer', () => {
  test('has the status, the headers, the body and the URL of the exchange', async () => {
    await using server = await serve((response, request) => {
      response.writeHead(201, { 'x-kind': 'first', 'set-cookie': ['a=1', 'b=2'] }).end(`${request.method} ${request.body}`)
    })
    const response = await fetchWith()(`${server.url}/path?q=1#part`, {
      method: 'post',
      body: 'hello',
      headers: { 'X-Mine': 'yes' },
    })
    assert.deepEqual([response.status, response.ok, response.headers.get('x-kind')], [201, true, 'first'])
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2'])
    assert.equal(await response.text(), 'POST hello')
    assert.deepEqual([response.url, response.redirected], [`${server.url}/path?q=1`, false])
    assert.equal(server.requests[0]?.headers['x-mine'], 'yes')
  })

  test('without a body is one', async () => {
    await using server = await serve((response) => void response.writeHead(204).end())
    assert.equal((await fetchWith()(server.url)).body, null)
  })

  test('is decoded', async () => {
    await using server = await serve((response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('packed'))
    })
    const response = await fetchWith()(server.url)
    assert.deepEqual([await response.text(), response.headers.get('content-encoding')], ['packed', null])
  })

  test('that is no encoding of anything is an error of the body', async () => {
    await using server = await serve((response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('not packed')
    })
    const response = await fetchWith()(server.url)
    assert.equal((await errorOf(response.text())).code, 'INVALID_RESPONSE')
  })

  test('that is cut is an error of the body', async () => {
    await using server = await serve((response) => {
      response.writeHead(200, { 'content-length': 10 })
      response.write('half', () => response.destroy())
    })
    const response = await fetchWith()(server.url)
    const error = await errorOf(response.text())
    assert.deepEqual([error.code, error.retryable], ['CONNECTION_RESET', true])
  })
})

describe('a body', () => {
  test('over the cap of decoded bytes is cut while it unfolds', async () => {
    await using server = await serve((response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50 * 1024 * 1024)))
    })
    const response = await fetchWith({ maxBodyBytes: 1024 * 1024 })(server.url)
    const error = await errorOf(response.text())
    assert.deepEqual([error.code, error.failure.detail], ['LIMIT_EXCEEDED', { limit: 'max_response_bytes', value: 1024 * 1024 }])
  })

  test('is read from the connection only as far as somebody asks for it', async () => {
    let sent = 0
    await using server = await serve((response) => {
      response.writeHead(200)
      const more = (): void => {
        while (response.write(Buffer.alloc(64 * 1024))) sent += 64
        if (sent < 100 * 1024) response.once('drain', more)
      }
      more()
    })
    const response = await fetchWith({ maxBodyBytes: Infinity })(server.url)
    const reader = response.body?.getReader()
    await reader?.read()
    // What the two sockets hold is far below this; the server would have sent 100 MB by now.
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate)
    assert.ok(sent < 16 * 1024, `${sent} KB were taken`)
    await reader?.cancel()
  })

  test('that is cancelled closes the connection', async () => {
    const closed = Promise.withResolvers<void>()
    await using server = await serve((response) => {
      response.on('close', closed.resolve)
      response.writeHead(200).write('first')
    })
    const response = await fetchWith()(server.url)
    await response.body?.cancel()
    await closed.promise
  })

  test('that nobody reads while its connection is lost hurts nobody', async () => {
    await using server = await serve((response) => {
      response.writeHead(200).write('first', () => response.destroy())
    })
    const response = await fetchWith()(server.url)
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate)
    await assert.rejects(response.text())
  })
})

describe('the timers', () => {
  test('end the wait for an answer', async () => {
    await using server = await serve(() => undefined)
    const error = await errorOf(fetchWith({ firstByteMs: 50 })(server.url))
    assert.deepEqual([error.code, error.failure.detail], ['TIMEOUT', { timer: 'first_byte', ms: 50 }])
  })

  test('end the wait for the rest of a body', async () => {
    await using server = await serve((response) => void response.writeHead(200).write('first'))
    const response = await fetchWith({ idleMs: 50 })(server.url)
    const error = await errorOf(response.text())
    assert.deepEqual([error.code, error.failure.detail], ['TIMEOUT', { timer: 'between_bytes', ms: 50 }])
  })

  test('let a stream of events be silent', async () => {
    const go = Promise.withResolvers<void>()
    await using server = await serve((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      void go.promise.then(() => response.end('data: 2\n\n'))
    })
    const response = await fetchWith({ idleMs: 1 })(server.url)
    const body = response.text()
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate)
    go.resolve()
    assert.equal(await body, 'data: 1\n\ndata: 2\n\n')
  })
})

describe('an abort', () => {
  test('before the answer rejects with its reason', async () => {
    const controller = new AbortController()
    await using server = await serve(() => controller.abort(new Error('enough')))
    await assert.rejects(fetchWith()(server.url, { signal: controller.signal }), /enough/)
    await assert.rejects(fetchWith()(server.url, { signal: controller.signal }), /enough/)
    assert.equal(server.requests.length, 1)
  })

  test('in the middle of a body rejects with its reason', async () => {
    const controller = new AbortController()
    await using server = await serve((response) => void response.writeHead(200).write('first'))
    const response = await fetchWith()(server.url, { signal: controller.signal })
    const reader = response.body?.getReader()
    await reader?.read()
    controller.abort(new Error('enough'))
    await assert.rejects(async () => await reader?.read(), /enough/)
  })
})

describe('a redirect', () => {
  test('is the answer where the caller follows by itself', async () => {
    await using server = await serve((response) => void response.writeHead(307, { location: '/next' }).end())
    const response = await fetchWith()(server.url, { redirect: 'manual' })
    assert.deepEqual([response.status, response.headers.get('location'), server.requests.length], [307, '/next', 1])
  })

  test('is followed with the method and the credentials only where both may go', async () => {
    await using other = await serve(
      (response, request) => void response.end(JSON.stringify(request.headers.authorization ?? null)),
    )
    await using server = await serve((response, { path }) => {
      response.writeHead(307, { location: path === '/first' ? '/second' : `${other.url}/third` }).end()
    })
    const init = { method: 'POST', body: 'x', headers: { authorization: 'Bearer secret' } }
    const response = await fetchWith()(`${server.url}/first`, init)
    assert.deepEqual([await response.text(), response.redirected, response.url], ['null', true, `${other.url}/third`])
    assert.deepEqual(
      server.requests.map(({ headers }) => headers.authorization),
      ['Bearer secret', 'Bearer secret'],
    )
  })

  test('without end, or where none is wanted, is an error', async () => {
    await using server = await serve((response) => void response.writeHead(302, { location: '/again' }).end())
    assert.equal((await errorOf(fetchWith()(server.url))).code, 'INVALID_RESPONSE')
    assert.equal(server.requests.length, 6)
    assert.equal((await errorOf(fetchWith()(server.url, { redirect: 'error' }))).code, 'INVALID_RESPONSE')
  })
})

describe('the guard', () => {
  const scoped = (host: string, ports: readonly number[]): NetworkGrant => ({
    kind: 'scoped',
    policy: { allows: (target) => target.host === host, allowsPrivate: ({ port }) => ports.includes(port) },
  })

  test('refuses a host without permission before any connection', async () => {
    await using server = await serve((response) => void response.end('reached'))
    const error = await errorOf(fetchWith({ network: scoped('api.example.com', []) })(server.url))
    assert.deepEqual(
      [error.code, error.failure.detail],
      ['PERMISSION_DENIED', { missing: [`net.http "127.0.0.1:${server.port}"`] }],
    )
    assert.equal((await errorOf(fetchWith({ network: undefined })(server.url))).code, 'ADDRESS_DENIED')
    assert.equal(server.requests.length, 0)
  })

  test('refuses a name that leads to this machine', async () => {
    await using server = await serve((response) => void response.end('reached'))
    const lookup = (): Promise<{ address: string; family: number }[]> => Promise.resolve([{ address: '127.0.0.1', family: 4 }])
    const fetch = fetchWith({ network: scoped('api.example.com', []), lookup })
    assert.equal((await errorOf(fetch(`http://api.example.com:${server.port}/`))).code, 'ADDRESS_DENIED')
    assert.equal(server.requests.length, 0)
  })

  test('is asked again for each redirect', async () => {
    await using secret = await serve((response) => void response.end('reached'))
    await using server = await serve((response) => void response.writeHead(302, { location: secret.url }).end())
    const fetch = fetchWith({ network: scoped('127.0.0.1', [server.port]) })
    assert.equal((await errorOf(fetch(server.url))).code, 'ADDRESS_DENIED')
    assert.equal(secret.requests.length, 0)
  })

  test('asks before every request whether the thread may still act', async () => {
    await using server = await serve((response) => void response.end('reached'))
    let isLive = true
    const fetch = fetchWith({ isLive: () => isLive })
    assert.equal(await (await fetch(server.url)).text(), 'reached')
    isLive = false
    assert.equal((await errorOf(fetch(server.url))).code, 'ABORTED')
    assert.equal(server.requests.length, 1)
  })
})

describe('what cannot be sent', () => {
  test('is told by its kind', async () => {
    const fetch = fetchWith()
    await assert.rejects(fetch('ftp://example.com/'), TypeError)
    await assert.rejects(fetch('http://user:password@example.com/'), TypeError)
    await assert.rejects(fetch('http://127.0.0.1:1/', { method: 'POST', body: new Uint8Array(1) }), TypeError)
  })

  test('because nobody listens, or no HTTP comes back, is told by its code', async () => {
    const refused = await errorOf(fetchWith()(`http://127.0.0.1:${await closedPort()}/`))
    assert.deepEqual([refused.code, refused.retryable], ['CONNECTION_REFUSED', true])
    await using server = await serveTcp((socket) => void once(socket, 'data').then(() => socket.end('SSH-2.0-nothing\r\n\r\n')))
    assert.equal((await errorOf(fetchWith()(`http://127.0.0.1:${server.port}/`))).code, 'INVALID_RESPONSE')
  })
})
