import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { McpFailure, type McpSession } from '../../src/mcp-client/contract.ts'
import {
  createSessionPool,
  type PoolRequest,
  type SessionPool,
  type SessionPoolOptions,
} from '../../src/mcp-client/session-pool.ts'
import { openMcpSession } from '../../src/mcp-client/session/open-session.ts'
import { freePort, type Peer, startPeer, until } from './peers.ts'

interface Bench {
  readonly pool: SessionPool
  readonly clock: { ms: number }
  /** Sessions that were opened, and how often opening was tried. */
  readonly sessions: McpSession[]
  readonly tries: () => number
  request(key: string, more?: Partial<PoolRequest>): PoolRequest
  /** Uses the session of `key` for an `echo`. */
  echo(key: string, more?: Partial<PoolRequest>): Promise<unknown>
}

function benchOf(t: TestContext, peer: Pick<Peer, 'url'>, options: Partial<SessionPoolOptions> = {}): Bench {
  const clock = { ms: 0 }
  const sessions: McpSession[] = []
  let tries = 0
  const pool = createSessionPool({ nowMs: () => clock.ms, ...options })
  t.after(async () => await pool.close())
  const request: Bench['request'] = (key, more = {}) => ({
    server: 'peer',
    key,
    lane: key,
    maxConcurrency: 4,
    async open({ signal, connectTimeoutMs }) {
      tries += 1
      const target = { kind: 'http', url: peer.url, network: { kind: 'open' } } as const
      const session = await openMcpSession({ server: 'peer', target, signal, connectTimeoutMs })
      sessions.push(session)
      return session
    },
    isLive: () => true,
    connectTimeoutMs: 20_000,
    turnTimeoutMs: 20_000,
    idleMs: 60_000,
    ...more,
  })
  const echo: Bench['echo'] = async (key, more) =>
    await pool.use(request(key, more), async (session) => await call(session, 'echo', more?.signal))
  return { pool, clock, sessions, tries: () => tries, request, echo }
}

async function call(session: McpSession, name: string, signal?: AbortSignal): Promise<unknown> {
  const options = { timeoutMs: 20_000, ...(signal === undefined ? {} : { signal }) }
  return await session.request('tools/call', { name, arguments: {} }, options)
}

async function failureOf(promise: Promise<unknown>): Promise<McpFailure> {
  const outcome: unknown = await promise.catch((error: unknown) => error)
  if (outcome instanceof McpFailure) return outcome
  throw new Error(`expected a failure, got ${String(outcome)}`)
}

test('callers that come at once share one session', async (t) => {
  const bench = benchOf(t, await startPeer(t))
  await Promise.all(Array.from({ length: 8 }, async () => await bench.echo('a')))
  await bench.echo('a')
  assert.equal(bench.tries(), 1)
})

test('another key is another session', async (t) => {
  const bench = benchOf(t, await startPeer(t))
  await Promise.all([bench.echo('a'), bench.echo('b')])
  assert.equal(bench.tries(), 2)
})

test('a session that nobody uses is closed, and the next call opens another', async (t) => {
  const bench = benchOf(t, await startPeer(t))
  await bench.echo('a', { idleMs: 20 })
  assert.equal(await bench.sessions[0]?.ended, null)
  await bench.echo('a')
  assert.equal(bench.tries(), 2)
})

test('a session that is used does not idle', async (t) => {
  const peer = await startPeer(t)
  const bench = benchOf(t, peer)
  await bench.echo('a', { idleMs: 5 })
  const [before] = bench.sessions
  assert.ok(before)
  const waiting = bench.pool.use(bench.request('a', { idleMs: 5 }), async (session) => {
    const outcome = call(session, 'wait')
    await peer.waiting(1)
    await bench.echo('a', { idleMs: 5 })
    peer.release()
    await outcome
    return session
  })
  assert.equal(bench.sessions.includes(await waiting), true)
})

test('no more calls run at one time than the server is given', async (t) => {
  const peer = await startPeer(t)
  const bench = benchOf(t, peer)
  const waits = [1, 2, 3].map(
    async () => await bench.pool.use(bench.request('a', { maxConcurrency: 2 }), async (session) => await call(session, 'wait')),
  )
  await peer.waiting(2)
  assert.deepEqual(peer.calls, ['wait', 'wait'])
  peer.release()
  await until(() => peer.calls.length === 3, 'the third call goes out')
  peer.release()
  peer.release()
  await Promise.all(waits)
})

test('the session that was idle for longest makes room for another', async (t) => {
  const bench = benchOf(t, await startPeer(t), { maxSessions: 2 })
  for (const key of ['a', 'b', 'a', 'c']) {
    bench.clock.ms += 1
    // oxlint-disable-next-line no-await-in-loop -- the order is what is tested
    await bench.echo(key)
  }
  const [a, b] = bench.sessions
  assert.equal(await b?.ended, null)
  await bench.echo('a')
  assert.equal(bench.tries(), 3)
  assert.equal(a?.server, 'peer')
})

test('a call is refused where all sessions are in use', async (t) => {
  const peer = await startPeer(t)
  const bench = benchOf(t, peer, { maxSessions: 1 })
  const waiting = bench.pool.use(bench.request('a'), async (session) => await call(session, 'wait'))
  await peer.waiting(1)
  const { code, retryable, detail } = await failureOf(bench.echo('b'))
  assert.deepEqual([code, retryable, detail['max_sessions']], ['LIMIT_EXCEEDED', true, 1])
  peer.release()
  await waiting
})

test('a caller that goes while a session opens leaves it to the others', async (t) => {
  const bench = benchOf(t, await startPeer(t))
  const controller = new AbortController()
  const gone = bench.echo('a', { signal: controller.signal })
  const stays = bench.echo('a')
  controller.abort()
  assert.equal((await failureOf(gone)).code, 'ABORTED')
  await stays
  assert.equal(bench.tries(), 1)
})

test('an opening that nobody waits for any more is given up, and counts as no failure', async (t) => {
  const bench = benchOf(t, await startPeer(t))
  const controller = new AbortController()
  const given = Promise.withResolvers<void>()
  const gone = bench.echo('a', {
    signal: controller.signal,
    open: async ({ signal }) => {
      controller.abort()
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      given.resolve()
      throw new McpFailure('MCP_CONNECTION_FAILED', 'given up')
    },
  })
  assert.equal((await failureOf(gone)).code, 'ABORTED')
  await given.promise
  await bench.echo('a')
  assert.equal(bench.tries(), 1)
})

test('a session whose grant does not hold any more is closed, and no other is opened', async (t) => {
  const bench = benchOf(t, await startPeer(t), { sweepMs: 5 })
  let isLive = true
  await bench.echo('a', { isLive: () => isLive })
  isLive = false
  assert.equal(await bench.sessions[0]?.ended, null)
  assert.equal((await failureOf(bench.echo('a', { isLive: () => isLive }))).code, 'ABORTED')
  assert.equal(bench.tries(), 1)
})

test('a server that cannot be reached is left alone for a while, and told of at once to who does not wait', async (t) => {
  const bench = benchOf(t, { url: `http://127.0.0.1:${await freePort()}/mcp` })
  assert.equal((await failureOf(bench.echo('a'))).code, 'MCP_CONNECTION_FAILED')
  const { code, retryable, detail } = await failureOf(bench.echo('a', { connectTimeoutMs: 900 }))
  assert.deepEqual([code, retryable, detail['retry_after_ms']], ['MCP_CONNECTION_FAILED', true, 500])
  assert.equal(bench.tries(), 1)
})

test('who has the time waits for the next try', async (t) => {
  const port = await freePort()
  const bench = benchOf(t, { url: `http://127.0.0.1:${port}/mcp` }, { nowMs: () => performance.now() })
  await failureOf(bench.echo('a'))
  await startPeer(t, port)
  await bench.echo('a')
  assert.equal(bench.tries(), 2)
})

test('a failure that another try cannot mend is told again without one', async (t) => {
  const bench = benchOf(t, { url: 'http://127.0.0.1:1/' })
  const open = async (): Promise<never> => {
    throw new McpFailure('MCP_CONNECTION_FAILED', 'The server answered 401.', { detail: { status: 401 } })
  }
  await failureOf(bench.echo('a', { open }))
  const { message, retryable, detail } = await failureOf(bench.echo('a'))
  assert.deepEqual([retryable, detail], [false, { status: 401, retry_after_ms: 500 }])
  assert.match(message, /answered 401.*tried again in 500 ms/)
  assert.equal(bench.tries(), 0)
})

test('a closed pool has no sessions and opens none', async (t) => {
  const peer = await startPeer(t)
  const bench = benchOf(t, peer)
  const waiting = failureOf(bench.pool.use(bench.request('a'), async (session) => await call(session, 'wait')))
  await peer.waiting(1)
  await bench.echo('b')
  await bench.pool.close()
  assert.deepEqual(await Promise.all(bench.sessions.map(async ({ ended }) => await ended)), [null, null])
  assert.match((await waiting).code, /ABORTED|MCP_SERVER_ENDED/)
  assert.equal((await failureOf(bench.echo('a'))).code, 'ABORTED')
})
