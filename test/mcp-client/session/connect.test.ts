import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { OpenSessionRequest } from '../../../src/mcp-client/session/open-session.ts'
import { closedPort, serve, serveTcp } from '../../primitives/http-client/loopback.ts'
import type { Mode } from '../hostile-server.mjs'
import { serveHostile } from '../hostile-server.mjs'
import { ANSWER, echo, factOf, failureOf, hostileProcess, hostileProject, httpTarget, NOTHING, open } from './sessions.ts'

let project: Awaited<ReturnType<typeof hostileProject>>
before(async () => {
  project = await hostileProject()
})
after(async () => await project[Symbol.asyncDispose]())

const STATUSES = [
  { status: 401, retryable: false, told: /credentials/ },
  { status: 403, retryable: false, told: /credentials/ },
  { status: 404, retryable: false, told: /path/ },
  { status: 429, retryable: true, told: /later/ },
  { status: 503, retryable: true, told: /later/ },
]
for (const { status, retryable, told } of STATUSES) {
  for (const era of ['auto', 'legacy'] as const) {
    test(`a server that answers ${status} is told with what to do, and ${retryable ? 'may' : 'need not'} be tried again (${era})`, async () => {
      await using server = await serve((response) => void response.writeHead(status).end('<html>no</html>'))
      const failure = await failureOf(open(httpTarget(`${server.url}/mcp?key=hidden`), { era }))
      assert.deepEqual([failure.code, failure.retryable, failure.detail['status']], ['MCP_CONNECTION_FAILED', retryable, status])
      assert.equal(failure.detail['endpoint'], `${server.url}/mcp`)
      assert.match(factOf(failure, 'remediation'), told)
      assert.doesNotMatch(failure.message, /hidden/)
    })
  }
}

test('a server that nobody runs may be tried again', async () => {
  const failure = await failureOf(open(httpTarget(`http://127.0.0.1:${await closedPort()}/mcp`)))
  assert.deepEqual(
    [failure.code, failure.retryable, failure.detail['cause']],
    ['MCP_CONNECTION_FAILED', true, 'CONNECTION_REFUSED'],
  )
})

test('a server that says nothing is given up after the time for connecting', async () => {
  await using server = await serveTcp(() => undefined)
  for (const era of ['auto', 'legacy'] as const) {
    const failure = await failureOf(open(httpTarget(`http://127.0.0.1:${server.port}/mcp`), { era, connectTimeoutMs: 300 }))
    assert.deepEqual([failure.code, failure.retryable, failure.detail['cause']], ['MCP_CONNECTION_FAILED', true, 'TIMEOUT'])
  }
})

test('a page of the web is no MCP server', async () => {
  await using server = await serve((response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'))
  for (const era of ['auto', 'legacy'] as const) {
    const failure = await failureOf(open(httpTarget(server.url), { era }))
    assert.deepEqual([failure.code, failure.retryable], ['MCP_CONNECTION_FAILED', false])
  }
})

test('a notification may be answered with 204, whatever type the server says of nothing', async () => {
  await using server = await serve((response, { method, body }) => {
    const { id, method: asked } = (body === '' ? {} : JSON.parse(body)) as { readonly id?: number; readonly method?: string }
    if (method !== 'POST') return void response.writeHead(405).end()
    response.writeHead(id === undefined ? 204 : 200, { 'content-type': 'application/json' })
    const handshake = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 's', version: '1' } }
    const result = asked === 'initialize' ? handshake : {}
    response.end(id === undefined ? undefined : JSON.stringify({ jsonrpc: '2.0', id, result }))
  })
  await using opened = await open(httpTarget(server.url), { era: 'legacy' })
  assert.deepEqual(await opened.session.request('ping', undefined, ANSWER), {})
})

test('a redirect to another origin is not followed, and its credentials go nowhere', async () => {
  await using other = await serve((response) => void response.writeHead(200).end())
  await using server = await serve((response) => void response.writeHead(307, { location: `${other.url}/mcp` }).end())
  const target = { ...httpTarget(server.url), auth: { type: 'bearer', token: 'secret' } } as OpenSessionRequest['target']
  const failure = await failureOf(open(target, { era: 'legacy' }))
  assert.deepEqual([failure.code, failure.retryable, failure.detail['status']], ['MCP_CONNECTION_FAILED', false, 307])
  assert.equal(other.requests.length, 0)
  assert.equal(server.requests[0]?.headers.authorization, 'Bearer secret')
})

test('credentials and headers of the configuration are sent with every request', async () => {
  await using server = await serveHostile('good')
  const target: OpenSessionRequest['target'] = {
    kind: 'http',
    url: server.url,
    network: { kind: 'open' },
    headers: { 'X-Team': 'red' },
    auth: { type: 'header', name: 'X-Api-Key', value: 'secret' },
  }
  await using peer = await open(target)
  await echo(peer.session, 'x')
  assert.ok(server.requests.length > 2)
  for (const { headers } of server.requests) assert.deepEqual([headers['x-api-key'], headers['x-team']], ['secret', 'red'])
})

test('a header that would smuggle a request is refused, and its value is not repeated', async () => {
  const target: OpenSessionRequest['target'] = {
    kind: 'http',
    url: 'http://127.0.0.1:9/mcp',
    network: { kind: 'open' },
    auth: { type: 'bearer', token: 'one\r\ntwo' },
  }
  const failure = await failureOf(open(target))
  assert.deepEqual([failure.code, failure.detail['field']], ['CONFIG_VALIDATION_ERROR', 'headers.authorization'])
  assert.doesNotMatch(failure.message, /two/)
})

test('threat row 34: a server is asked only where the grant allows it, and never at an address of this machine', async () => {
  // The guard: `network` and `isLive` are passed to the guarded fetch in `wire.ts`.
  await using server = await serveHostile('good')
  const port = Number(new URL(server.url).port)
  const scoped = (allows: boolean, isPrivateAllowed: boolean): OpenSessionRequest['target'] => ({
    kind: 'http',
    url: server.url,
    network: {
      kind: 'scoped',
      policy: { allows: () => allows, allowsPrivate: (target) => isPrivateAllowed && target.port === port },
    },
  })
  const denied = await failureOf(open(scoped(false, false)))
  assert.deepEqual([denied.code, denied.detail['missing']], ['PERMISSION_DENIED', [`net.http "127.0.0.1:${port}"`]])
  assert.equal((await failureOf(open(scoped(true, false)))).code, 'ADDRESS_DENIED')
  assert.equal((await failureOf(open({ kind: 'http', url: server.url, network: undefined }))).code, 'ADDRESS_DENIED')
  assert.equal(server.requests.length, 0)
  await using peer = await open(scoped(true, true))
  assert.deepEqual(await echo(peer.session, 'x'), [{ type: 'text', text: '{"text":"x"}' }])
})

test('a session ends with the thread that it was opened for', async () => {
  await using server = await serveHostile('good')
  let isLive = true
  await using peer = await open({ kind: 'http', url: server.url, network: { kind: 'open' }, isLive: () => isLive })
  isLive = false
  const asked = server.requests.length
  assert.equal((await failureOf(echo(peer.session, 'x'))).code, 'ABORTED')
  assert.equal((await peer.session.ended)?.code, 'ABORTED')
  assert.equal(server.requests.length, asked)
})

interface FailedStart {
  readonly what: string
  readonly mode: Mode
  readonly retryable: boolean
  readonly cause: string
}

const STARTS: readonly FailedStart[] = [
  { what: 'that writes JSON of another kind first', mode: 'garbage_first', retryable: false, cause: 'MCP_PROTOCOL_VIOLATION' },
  { what: 'that exits at once', mode: 'exit_first', retryable: true, cause: 'MCP_SERVER_ENDED' },
]
for (const { what, mode, retryable, cause } of STARTS) {
  for (const era of ['legacy', 'auto'] as const) {
    test(`a program ${what} is no connection (${era})`, async () => {
      const failure = await failureOf(open(hostileProcess(project.path, mode), { era }))
      assert.deepEqual([failure.code, failure.retryable, failure.detail['cause']], ['MCP_CONNECTION_FAILED', retryable, cause])
    })
  }
}

test('a command that does not exist is told, and need not be tried again', async () => {
  const target = hostileProcess(project.path, 'good')
  const failure = await failureOf(open({ ...target, process: { ...target.process, config: { command: 'no-such-server' } } }))
  assert.deepEqual(
    [failure.code, failure.retryable, failure.detail['endpoint']],
    ['MCP_CONNECTION_FAILED', false, 'no-such-server'],
  )
  assert.match(failure.message, /no such command/)
})

test('a folder outside of the project is refused as a configuration', async () => {
  const target = hostileProcess(project.path, 'good')
  const config = { ...target.process.config, cwd: '../..' }
  assert.equal((await failureOf(open({ ...target, process: { ...target.process, config } }))).code, 'CONFIG_VALIDATION_ERROR')
})

test('a server of another era is told as such', async () => {
  const failure = await failureOf(open(hostileProcess(project.path, 'good'), { era: 'modern' }))
  assert.deepEqual(
    [failure.code, failure.retryable, failure.detail['cause']],
    ['MCP_CONNECTION_FAILED', false, 'PROTOCOL_VERSION'],
  )
  assert.match(factOf(failure, 'remediation'), /era/)
})

test('`auto` starts only a server that exits at the question a second time', async () => {
  for (const [mode, starts] of [
    ['good', 1],
    ['exit_at_probe', 2],
    ['silent_at_probe', 1],
  ] as const) {
    const target = hostileProcess(project.path, mode)
    let started = 0
    await using peer = await open(
      { ...target, open: async (request) => ((started += 1), await target.open(request)) },
      { era: 'auto', connectTimeoutMs: 6_000 },
    )
    assert.deepEqual([mode, peer.session.era, started], [mode, 'legacy', starts])
    assert.equal((await peer.session.tools(ANSWER)).length, 2)
  }
})

test('an abort ends the opening, and the process with it', async () => {
  const controller = new AbortController()
  const target = hostileProcess(project.path, 'silent_at_probe')
  let ended: Promise<unknown> | undefined
  const opening = open(
    {
      ...target,
      async open(request) {
        const opened = await target.open(request)
        ended = opened.ended
        controller.abort()
        return opened
      },
    },
    { era: 'auto', signal: controller.signal },
  )
  assert.equal((await failureOf(opening)).code, 'ABORTED')
  await ended
  const tooLate = await failureOf(open(target, { signal: AbortSignal.abort() }))
  assert.equal(tooLate.code, 'ABORTED')
})

test('arguments that may be credentials are not part of what messages call a server', async () => {
  const target = hostileProcess(project.path, 'good')
  const process = { ...target.process, context: { projectPath: project.path, __grant: NOTHING } }
  const config = { command: 'no-such-server', args: ['--verbose', '--api-key', 'hunter2'] }
  const failure = await failureOf(open({ ...target, process: { ...process, config } }))
  assert.equal(failure.detail['endpoint'], 'no-such-server --verbose …')
})
