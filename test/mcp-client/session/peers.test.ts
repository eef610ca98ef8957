import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import * as http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { type NodeIncomingMessageLike, NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler } from '@modelcontextprotocol/server'
import type { McpSession } from '../../../src/mcp-client/contract.ts'
import type { OpenSessionRequest } from '../../../src/mcp-client/session/open-session.ts'
import { closedPort } from '../../primitives/http-client/loopback.ts'
import { createServer } from '../modern-server.mjs'
import { ANSWER, failureOf, httpTarget, open, programOf } from './sessions.ts'

const ROOT = join(import.meta.dirname, '../../..')
const EVERYTHING = 'node_modules/@modelcontextprotocol/server-everything/dist/index.js'
const MODERN = 'test/mcp-client/modern-server.mjs'

async function text(session: McpSession, name: string, parameters: Record<string, string | number> = {}): Promise<unknown> {
  const { content } = await session.request('tools/call', { name, arguments: parameters }, ANSWER)
  return Array.isArray(content) ? (content[0] as { text?: unknown } | undefined)?.text : content
}

interface Listening extends AsyncDisposable {
  readonly url: string
}

async function listen(handler: http.RequestListener): Promise<Listening> {
  const server = http.createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A server that listens on a TCP port has an address object.
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** One session of the 2025 era per client, as servers of that era keep them. */
async function serveLegacy(): Promise<Listening & { readonly sessions: Map<string, NodeStreamableHTTPServerTransport> }> {
  const sessions = new Map<string, NodeStreamableHTTPServerTransport>()
  const take = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const id = request.headers['mcp-session-id']
    const known = typeof id === 'string' ? sessions.get(id) : undefined
    if (known !== undefined) return await known.handleRequest(request, response)
    if (id !== undefined) return void response.writeHead(404).end()
    const transport: NodeStreamableHTTPServerTransport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (created) => void sessions.set(created, transport),
      onsessionclosed: (closed) => void sessions.delete(closed),
    })
    await createServer().connect(transport)
    await transport.handleRequest(request, response)
  }
  const door = await listen((request, response) => void take(request, response))
  return { ...door, sessions }
}

async function serveModern(): Promise<Listening> {
  const handler = createMcpHandler(() => createServer())
  const take = toNodeHandler(handler)
  // A request of Node has more than the handler asks for, and says `undefined` where it says nothing.
  const door = await listen((request, response) => void take(request as NodeIncomingMessageLike, response))
  return {
    url: door.url,
    async [Symbol.asyncDispose]() {
      await handler.close()
      await door[Symbol.asyncDispose]()
    },
  }
}

describe('server-everything, a real server of the 2025 era', () => {
  test('over stdio it is listed, called and asked for its resources and prompts, in the sandbox and without a grant', async () => {
    await using peer = await open(programOf('node', [EVERYTHING, 'stdio'], ['node_modules']))
    assert.equal(peer.session.era, 'legacy')
    assert.ok((await peer.session.tools(ANSWER)).some(({ name }) => name === 'get-sum'))
    assert.equal(await text(peer.session, 'get-sum', { a: 2, b: 3 }), 'The sum of 2 and 3 is 5.')
    const { resources } = await peer.session.request('resources/list', undefined, ANSWER)
    const { prompts } = await peer.session.request('prompts/list', undefined, ANSWER)
    assert.ok(Array.isArray(resources) && resources.length > 0 && Array.isArray(prompts) && prompts.length > 0)
    assert.deepEqual(await peer.session.request('ping', undefined, ANSWER), {})
  })

  test('`auto` finds its era without starting it a second time', async () => {
    const target = programOf('node', [EVERYTHING, 'stdio'], ['node_modules'])
    let starts = 0
    await using peer = await open(
      { ...target, open: async (request) => ((starts += 1), await target.open(request)) },
      { era: 'auto' },
    )
    assert.deepEqual([peer.session.era, starts], ['legacy', 1])
    assert.equal(await text(peer.session, 'echo', { message: 'x' }), 'Echo: x')
  })

  test('progress keeps a call alive beyond its timeout, and is told', async () => {
    await using peer = await open(programOf('node', [EVERYTHING, 'stdio'], ['node_modules']))
    const told: number[] = []
    const { content } = await peer.session.request(
      'tools/call',
      { name: 'trigger-long-running-operation', arguments: { duration: 8, steps: 8 } },
      { timeoutMs: 6_000, onProgress: ({ progress }) => told.push(progress) },
    )
    assert.match(JSON.stringify(content), /completed/)
    assert.deepEqual(told.slice(0, 3), [1, 2, 3])
  })

  test('over Streamable HTTP it is listed, called and closed', async () => {
    const port = await closedPort()
    const child = spawn(process.execPath, [join(ROOT, EVERYTHING), 'streamableHttp'], {
      env: { ...process.env, PORT: String(port) },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const ended = once(child, 'close')
    try {
      await listening(child.stderr)
      await using peer = await open(httpTarget(`http://127.0.0.1:${port}/mcp`))
      assert.equal(peer.session.era, 'legacy')
      assert.equal(await text(peer.session, 'echo', { message: 'x' }), 'Echo: x')
      assert.ok((await peer.session.tools(ANSWER)).length > 5)
    } finally {
      child.kill('SIGKILL')
      await ended
    }
  })
})

async function listening(stderr: NodeJS.ReadableStream): Promise<void> {
  for await (const line of createInterface({ input: stderr })) if (/listening/i.test(line)) return
  throw new Error('The server does not listen.')
}

interface Case {
  readonly what: string
  readonly era: 'legacy' | 'modern'
  readonly request: () => Partial<OpenSessionRequest> & Pick<OpenSessionRequest, 'target'>
}

describe('a server of the official SDK', () => {
  let modern: Listening
  let legacy: Awaited<ReturnType<typeof serveLegacy>>
  before(async () => {
    modern = await serveModern()
    legacy = await serveLegacy()
  })
  after(async () => {
    await modern[Symbol.asyncDispose]()
    await legacy[Symbol.asyncDispose]()
  })
  const process = (): OpenSessionRequest['target'] => programOf('node', [MODERN], ['node_modules', MODERN])
  const cases: readonly Case[] = [
    { what: 'over stdio, as a legacy client', era: 'legacy', request: () => ({ target: process() }) },
    { what: 'over stdio, in the era that both know', era: 'modern', request: () => ({ target: process(), era: 'auto' }) },
    { what: 'over stdio, modern only', era: 'modern', request: () => ({ target: process(), era: 'modern' }) },
    { what: 'over HTTP', era: 'modern', request: () => ({ target: httpTarget(modern.url) }) },
    {
      what: 'over HTTP, with a session of the 2025 era',
      era: 'legacy',
      request: () => ({ target: httpTarget(legacy.url), era: 'legacy' }),
    },
  ]

  for (const { what, era, request } of cases) {
    test(`is listed and called (${what})`, async () => {
      await using peer = await open(request().target, request())
      assert.equal(peer.session.era, era)
      const names = (await peer.session.tools(ANSWER)).map(({ name }) => name)
      assert.deepEqual(names, ['echo', 'count', 'wait', 'cancelled', 'grow'])
      assert.equal(await text(peer.session, 'echo', { text: 'hello' }), 'hello')
      assert.deepEqual(await peer.session.request('ping', undefined, ANSWER), {})
    })

    test(`tells its progress (${what})`, async () => {
      await using peer = await open(request().target, request())
      const told: unknown[] = []
      const options = { ...ANSWER, onProgress: (progress: unknown) => told.push(progress) }
      await peer.session.request('tools/call', { name: 'count', arguments: { to: 3 } }, options)
      assert.deepEqual(told[0], { progress: 1, total: 3, message: 'step 1' })
    })

    test(`learns that a call was given up (${what})`, async () => {
      await using peer = await open(request().target, request())
      const earlier = Number(await text(peer.session, 'cancelled'))
      const controller = new AbortController()
      const call = failureOf(peer.session.request('tools/call', { name: 'wait' }, { ...ANSWER, signal: controller.signal }))
      await text(peer.session, 'echo', { text: 'hello' })
      controller.abort()
      assert.equal((await call).code, 'ABORTED')
      const deadline = performance.now() + 10_000
      while (Number(await text(peer.session, 'cancelled')) === earlier) assert.ok(performance.now() < deadline, 'not told')
    })

    test(`answers a call that it does not know with its own error, and goes on (${what})`, async () => {
      await using peer = await open(request().target, request())
      const failure = await failureOf(peer.session.request('tools/call', { name: 'nope' }, ANSWER))
      assert.deepEqual([failure.code, failure.detail['rpc_code']], ['JSON_RPC_ERROR', -32_602])
      const unknown = await failureOf(peer.session.request('resources/list', undefined, ANSWER))
      assert.deepEqual([unknown.code, unknown.detail['rpc_code']], ['JSON_RPC_ERROR', -32_601])
      assert.equal(await text(peer.session, 'echo', { text: 'hello' }), 'hello')
    })
  }

  for (const { what, request } of cases.slice(0, 3).concat(cases.slice(4))) {
    test(`tells that its tools changed (${what})`, async () => {
      await using peer = await open(request().target, request())
      await peer.session.tools(ANSWER)
      await text(peer.session, 'grow')
      const deadline = performance.now() + 10_000
      while ((await peer.session.tools(ANSWER)).length < 6) {
        assert.ok(performance.now() < deadline, 'still the old list')
        await new Promise(setImmediate)
      }
    })
  }

  test('a session of the 2025 era is ended on the server when it is closed', async () => {
    const peer = await open(httpTarget(legacy.url), { era: 'legacy' })
    const during = legacy.sessions.size
    await peer.session.close()
    assert.equal(legacy.sessions.size, during - 1)
  })

  test('a session that the server has forgotten ends, and can be opened anew', async () => {
    await using peer = await open(httpTarget(legacy.url), { era: 'legacy' })
    legacy.sessions.clear()
    const failure = await failureOf(text(peer.session, 'echo', { text: 'hello' }))
    assert.deepEqual([failure.code, failure.retryable, failure.detail['status']], ['MCP_SERVER_ENDED', true, 404])
    assert.equal((await peer.session.ended)?.code, 'MCP_SERVER_ENDED')
  })
})

test('a server that greets on the wrong stream before it speaks is understood, and one that goes on and on is not', async () => {
  const greeting = (line: string): OpenSessionRequest['target'] =>
    programOf('bash', ['-c', `${line}; exec node ${EVERYTHING}`], ['node_modules'])
  await using opened = await open(greeting('echo "Server starting..."; echo; echo ready'))
  assert.equal(await text(opened.session, 'echo', { message: 'hello' }), 'Echo: hello')
  const failure = await failureOf(open(greeting('for i in $(seq 200); do echo "line $i"; done')))
  assert.deepEqual([failure.code, failure.detail['cause']], ['MCP_CONNECTION_FAILED', 'MCP_PROTOCOL_VIOLATION'])
})
