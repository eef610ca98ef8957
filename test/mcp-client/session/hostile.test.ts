import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { McpSession } from '../../../src/mcp-client/contract.ts'
import type { OpenSessionRequest } from '../../../src/mcp-client/session/open-session.ts'
import type { Mode } from '../hostile-server.mjs'
import { serveHostile } from '../hostile-server.mjs'
import {
  ANSWER,
  callFault,
  echo,
  factOf,
  failureOf,
  growthDuring,
  hostileProcess,
  hostileProject,
  httpTarget,
  open,
} from './sessions.ts'
import type { Opened } from './sessions.ts'

// The guard of threat row 34 is `src/mcp-client/session/frame-guard.ts`, with the caps of `checked-fetch.ts` (HTTP) and of the process opener
// (stdio) before it: each of these tests fails when its check is taken out there.

const MEGABYTE = 1024 * 1024
const ECHOED = [{ type: 'text', text: '{"text":"still here"}' }]

let project: Awaited<ReturnType<typeof hostileProject>>
let good: Opened

before(async () => {
  project = await hostileProject()
  good = await open(hostileProcess(project.path, 'good'), { server: 'good' })
  assert.deepEqual(await echo(good.session, 'still here'), ECHOED)
})
after(async () => {
  await good.session.close()
  await project[Symbol.asyncDispose]()
})

type Transport = 'stdio' | 'events' | 'json'

/** A session with the hostile server over one of the transports. */
async function openHostile(mode: Mode, transport: Transport, more: Partial<OpenSessionRequest> = {}): Promise<Opened> {
  if (transport === 'stdio') return await open(hostileProcess(project.path, mode), more)
  const server = await serveHostile(mode, transport)
  const opened = await open(httpTarget(server.url), more)
  return {
    session: opened.session,
    async [Symbol.asyncDispose]() {
      await opened.session.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** The session beside it answers while the hostile one is at work, and afterwards. */
async function withNeighbour<T>(run: () => Promise<T>): Promise<T> {
  const [outcome, during] = await Promise.all([run(), echo(good.session, 'still here')])
  assert.deepEqual(during, ECHOED)
  assert.deepEqual(await echo(good.session, 'still here'), ECHOED)
  return outcome
}

/** The violation that ends the session; another call that waits fails with it too, and so does the next one. */
async function violationOf(session: McpSession, run: () => Promise<unknown>): Promise<unknown> {
  const waiting = failureOf(session.request('tools/call', { name: 'wait', arguments: {} }, ANSWER))
  // The call may have been answered before the server went too far.
  await run().catch(() => undefined)
  const failure = await session.ended
  assert.equal((await waiting).message, failure?.message)
  assert.equal((await failureOf(echo(session, 'more'))).code, 'MCP_PROTOCOL_VIOLATION')
  assert.deepEqual([failure?.code, failure?.detail['server'], failure?.retryable], ['MCP_PROTOCOL_VIOLATION', 'peer', false])
  return failure?.detail['violation']
}

const VIOLATIONS: readonly {
  readonly what: string
  readonly mode: Mode
  readonly violation: string
  readonly over: readonly Transport[]
}[] = [
  {
    what: 'an answer with an id that was not sent',
    mode: 'wrong_id',
    violation: 'unknown_id',
    over: ['stdio', 'events', 'json'],
  },
  { what: 'a second answer to one request', mode: 'duplicate_id', violation: 'duplicate_id', over: ['stdio', 'events'] },
  {
    what: 'a result and an error together',
    mode: 'result_and_error',
    violation: 'result_and_error',
    over: ['stdio', 'events', 'json'],
  },
  { what: 'the id as text instead of the number', mode: 'id_type', violation: 'unknown_id', over: ['stdio', 'events', 'json'] },
  { what: 'text that is no message', mode: 'garbage', violation: 'not_json_rpc', over: ['stdio', 'events', 'json'] },
  { what: 'a sampling request', mode: 'sampling', violation: 'not_granted', over: ['stdio', 'events'] },
  { what: 'an elicitation request', mode: 'elicitation', violation: 'not_granted', over: ['stdio', 'events'] },
  { what: 'a roots request', mode: 'roots', violation: 'not_granted', over: ['stdio', 'events'] },
  { what: 'notifications without end', mode: 'flood', violation: 'flood', over: ['stdio', 'events'] },
  { what: 'a message of 100 MB', mode: 'long_line', violation: 'message_too_long', over: ['stdio', 'events', 'json'] },
  { what: 'nine million nested brackets', mode: 'deep_json', violation: 'message_too_long', over: ['stdio', 'events', 'json'] },
]

for (const { what, mode, violation, over } of VIOLATIONS) {
  for (const transport of over) {
    test(`threat row 34: ${what} closes that server and no other (${transport})`, async () => {
      await using hostile = await openHostile(mode, transport)
      let found: unknown
      const growth = await growthDuring(async () => {
        found = await withNeighbour(async () => await violationOf(hostile.session, async () => await callFault(hostile.session)))
      })
      assert.equal(found, violation)
      assert.ok(growth < 64 * MEGABYTE, `grew by ${Math.round(growth / MEGABYTE)} MB`)
    })
  }
}

const LISTS: readonly { readonly what: string; readonly mode: Mode; readonly violation: string }[] = [
  { what: 'a tool list without a last page', mode: 'endless_pages', violation: 'endless_pages' },
  { what: 'a tool list whose pages go round', mode: 'cursor_loop', violation: 'endless_pages' },
  { what: 'a list of more tools than anybody can use', mode: 'many_tools', violation: 'endless_pages' },
  { what: 'a tool list that is no list', mode: 'bad_result', violation: 'bad_result' },
]

for (const { what, mode, violation } of LISTS) {
  for (const transport of ['stdio', 'events', 'json'] as const) {
    test(`threat row 34: ${what} closes that server and no other (${transport})`, async () => {
      await using hostile = await openHostile(mode, transport)
      const found = await withNeighbour(
        async () => await violationOf(hostile.session, async () => await hostile.session.tools(ANSWER)),
      )
      assert.equal(found, violation)
    })
  }
}

describe('a server that dies or hangs', () => {
  test('threat row 34: a server that dies in mid-call is told with its exit code and its last words, and hurts no other (stdio)', async () => {
    await using hostile = await openHostile('crash', 'stdio')
    const waiting = failureOf(hostile.session.request('tools/call', { name: 'wait' }, ANSWER))
    const failure = await withNeighbour(async () => await failureOf(callFault(hostile.session)))
    assert.deepEqual([failure.code, failure.retryable, failure.detail['exit_code']], ['MCP_SERVER_ENDED', true, 7])
    assert.match(factOf(failure, 'stderr'), /fatal: .*out of luck/)
    assert.ok(!factOf(failure, 'stderr').includes('\u001B'))
    assert.equal((await waiting).code, 'MCP_SERVER_ENDED')
    assert.equal((await hostile.session.ended)?.code, 'MCP_SERVER_ENDED')
  })

  for (const transport of ['events', 'json'] as const) {
    test(`threat row 34: a connection that breaks in mid-call is told at once (${transport})`, async () => {
      await using hostile = await openHostile('crash', transport)
      const failure = await withNeighbour(async () => await failureOf(callFault(hostile.session)))
      assert.deepEqual([failure.code, failure.retryable], ['MCP_SERVER_ENDED', true])
    })
  }

  for (const transport of ['stdio', 'events', 'json'] as const) {
    test(`threat row 34: a call that hangs ends with its timeout, is cancelled, and the session goes on (${transport})`, async () => {
      await using hostile = await openHostile('hang', transport)
      const failure = await withNeighbour(async () => await failureOf(callFault(hostile.session, 300)))
      assert.deepEqual([failure.code, failure.retryable, failure.detail['timer']], ['TIMEOUT', true, 'progress'])
      const { structuredContent } = await hostile.session.request('tools/call', { name: 'cancelled' }, ANSWER)
      assert.equal(JSON.stringify(structuredContent).match(/\d+/g)?.length, 1)
    })
  }

  for (const transport of ['stdio', 'events'] as const) {
    test(`threat row 34: progress without end does not keep a call alive for ever (${transport})`, async () => {
      await using hostile = await openHostile('progress_forever', transport)
      let told = 0
      const options = { timeoutMs: 3_500, maxTotalMs: 4_000, onProgress: () => (told += 1) }
      const failure = await failureOf(hostile.session.request('tools/call', { name: 'fault' }, options))
      assert.deepEqual([failure.code, failure.detail['timer']], ['TIMEOUT', 'total'])
      assert.ok(told > 1)
    })
  }

  test('threat row 34: 100 MB of stderr are thrown away, and the answer arrives', async () => {
    await using hostile = await openHostile('stderr_flood', 'stdio')
    const growth = await growthDuring(async () => await withNeighbour(async () => await callFault(hostile.session)))
    assert.ok(growth < 64 * MEGABYTE, `grew by ${Math.round(growth / MEGABYTE)} MB`)
  })
})

describe('what a server may do', () => {
  for (const transport of ['stdio', 'events'] as const) {
    test(`a ping of the server is answered (${transport})`, async () => {
      await using peer = await openHostile('ping', transport)
      assert.deepEqual(await callFault(peer.session), { content: [{ type: 'text', text: '{}' }] })
      assert.deepEqual((await peer.session.tools(ANSWER)).length, 2)
    })

    test(`a tool list is remembered until the server says that it changed (${transport})`, async () => {
      await using peer = await openHostile('changed_tools', transport)
      const descriptions = async (): Promise<unknown> => (await peer.session.tools(ANSWER))[0]?.description
      assert.deepEqual([await descriptions(), await descriptions()], ['version 1', 'version 1'])
      await callFault(peer.session)
      assert.equal(await descriptions(), 'version 2')
    })

    test(`an abort is told to the server, and the session goes on (${transport})`, async () => {
      await using peer = await openHostile('good', transport)
      const controller = new AbortController()
      const call = failureOf(peer.session.request('tools/call', { name: 'wait' }, { ...ANSWER, signal: controller.signal }))
      await echo(peer.session, 'still here')
      controller.abort()
      assert.equal((await call).code, 'ABORTED')
      const { structuredContent } = await peer.session.request('tools/call', { name: 'cancelled' }, ANSWER)
      assert.equal(JSON.stringify(structuredContent).match(/\d+/g)?.length, 1)
    })
  }

  test('calls that are made many times leave no listener behind on the signal of their caller', async () => {
    const { signal } = new AbortController()
    const options = { ...ANSWER, signal }
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', onWarning)
    for (let call = 0; call < 50; call += 1) await good.session.request('tools/call', { name: 'echo', arguments: {} }, options)
    await new Promise(setImmediate)
    process.off('warning', onWarning)
    assert.deepEqual(warnings, [])
  })

  test('a session that is closed fails the calls that wait, and its process is gone', async () => {
    await using peer = await openHostile('good', 'stdio')
    const waiting = failureOf(peer.session.request('tools/call', { name: 'wait' }, ANSWER))
    await peer.session.close()
    assert.equal((await waiting).code, 'MCP_SERVER_ENDED')
    assert.equal(await peer.session.ended, null)
  })
})
