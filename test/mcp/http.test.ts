import assert from 'node:assert/strict'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { type Client, ProtocolError } from '@modelcontextprotocol/client'
import { finished, startKiwi } from '../cli/kiwi-process.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'
import { connectClient, INITIALIZE, JSON_HEADERS, send, transportTo } from '../serve/served-fixture.ts'

interface Started {
  readonly process: ChildProcessWithoutNullStreams
  readonly url: string
  readonly port: number
  readonly tokenFile: string
}

let project: ScriptedProject
let silent: Server
let served: Started
let token: string

before(async () => {
  project = await createScriptedProject()
  silent = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  writeFileSync(join(project.path, '.ai/tools/ask_silent.yaml'), toolThatAsks(silent))
  await project.run('sign', 'tool', 'ask_silent')
  served = await startServe()
  token = readFileSync(served.tokenFile, 'utf8').trim()
})

after(async () => {
  served.process.kill('SIGKILL')
  silent.close()
  silent.closeAllConnections()
  await project.close()
})

/** The server as a user starts it, on a free port, once it has said where it is. */
async function startServe(...args: string[]): Promise<Started> {
  const child = startKiwi(['-o', 'json', 'serve', '--port', '0', ...args], project.options)
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const { url, port, token_file: tokenFile } = JSON.parse(line)
  return { process: child, url, port, tokenFile }
}

/** A tool whose server takes the request and never answers: when its connection closes, the call was aborted. */
function toolThatAsks(server: Server): string {
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return [
    'tool_id: ask_silent',
    'tool_type: http',
    'version: "1.0.0"',
    'executor_id: http_client',
    'description: Asks a server that never answers.',
    'config:',
    '  method: GET',
    `  url: "http://127.0.0.1:${address.port}/"`,
    '',
  ].join('\n')
}

async function call(
  client: Client,
  name: string,
  args: Record<string, unknown>,
  signal?: AbortSignal,
): Promise<Record<string, unknown>> {
  const result = await client.callTool({ name, arguments: args }, signal === undefined ? {} : { signal })
  return { ...(result.structuredContent as Record<string, unknown>), isError: result.isError === true }
}

for (const era of ['legacy', 'modern'] as const)
  describe(`over HTTP in the ${era} era`, () => {
    test('the five meta-tools are listed and work as they do on stdio', async (t) => {
      const client = await connectClient(t, served.url, era, token)
      assert.equal(client.getServerVersion()?.name, 'kiwi')
      const { tools } = await client.listTools()
      assert.deepEqual(
        tools.map(({ name }) => name),
        ['search', 'load', 'execute', 'sign', 'help'],
      )
      const found = await call(client, 'search', { query: 'count words' })
      assert.match(JSON.stringify(found), /"id":"count_words"/u)
      const executed = await call(client, 'execute', { item_type: 'tool', item_id: 'count_words', parameters: { text: 'a b' } })
      assert.deepEqual(executed['result'], { words: 2, characters: 3, lines: 1 })
      const failed = await call(client, 'execute', { item_type: 'tool', item_id: 'no_such_tool' })
      assert.deepEqual([failed['isError'], /ITEM_NOT_FOUND/u.test(JSON.stringify(failed))], [true, true])
      await assert.rejects(client.callTool({ name: 'nope', arguments: {} }), (error) => ProtocolError.isInstance(error))
    })

    test('a call that is cancelled stops what it did', async (t) => {
      const client = await connectClient(t, served.url, era, token)
      const asked = once(silent, 'request')
      const controller = new AbortController()
      const calling = call(client, 'execute', { item_type: 'tool', item_id: 'ask_silent' }, controller.signal)
      const [, response] = await asked
      const stopped = once(response, 'close')
      controller.abort(new Error('enough'))
      await assert.rejects(calling, /enough/u)
      await stopped
      assert.equal((await call(client, 'help', {}))['isError'], false)
    })

    test('a thread that was spawned outlives the connection', async (t) => {
      const first = await connectClient(t, served.url, era, token)
      const spawned = await call(first, 'execute', {
        item_type: 'tool',
        item_id: 'thread_directive',
        parameters: { directive_name: 'hello_kiwi', inputs: { text: 'a b c' } },
      })
      await first.close()
      const { thread_id } = spawned['result'] as { thread_id: string }
      const second = await connectClient(t, served.url, era, token)
      const waited = await call(second, 'execute', { item_type: 'tool', item_id: 'wait_thread', parameters: { thread_id } })
      assert.match(JSON.stringify(waited), /Scripted answer/u)
    })

    test('a client with a wrong token is told so', async (t) => {
      await assert.rejects(
        connectClient(t, served.url, era, `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`),
        /[Uu]nauthorized/u,
      )
      const transport = transportTo(served.url, '')
      t.after(() => transport.close())
      const { status } = await send({ port: served.port, headers: { 'content-type': 'application/json' }, body: INITIALIZE })
      assert.equal(status, 401)
    })
  })

test('threat row 38: the server refuses a name that was rebound to it, and a page of another site', async () => {
  const headers = { ...JSON_HEADERS, authorization: `Bearer ${token}` }
  const ways = [{ host: `evil.example:${served.port}` }, { origin: 'http://evil.example' }, { origin: 'null' }]
  const answers = await Promise.all(
    ways.flatMap((way) =>
      ['GET', 'POST', 'DELETE', 'OPTIONS'].map((method) => send({ port: served.port, method, headers: { ...headers, ...way } })),
    ),
  )
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([403]))
})

test('threat row 39: the token stands in its file only, not in the arguments or the words of the server', async () => {
  const started = await startServe()
  const all = finished(started.process)
  const args = readFileSync(`/proc/${started.process.pid}/cmdline`, 'utf8')
  await send({ port: started.port, headers: { ...JSON_HEADERS, authorization: `Bearer ${token}` }, body: '{' })
  started.process.kill('SIGTERM')
  const { code, stdout, stderr } = await all
  assert.equal(code, 0)
  assert.ok(![args, stdout, stderr].join('\n').includes(token))
})

test('a rotated token holds at once', async () => {
  const started = await startServe()
  const ask = async (given: string): Promise<number | undefined> =>
    (await send({ port: started.port, headers: { ...JSON_HEADERS, authorization: `Bearer ${given}` }, body: INITIALIZE })).status
  const old = token
  assert.equal(await ask(old), 200)
  const rotated = await project.run('-o', 'json', 'serve', 'token', '--rotate')
  assert.deepEqual(JSON.parse(rotated.stdout), { token_file: started.tokenFile, rotated: true })
  token = readFileSync(started.tokenFile, 'utf8').trim()
  assert.deepEqual([await ask(old), await ask(token)], [401, 200])
  started.process.kill('SIGINT')
  assert.equal((await finished(started.process)).code, 0)
})

test('a server whose configuration keeps sign from clients lists four tools', async (t) => {
  const config = join(String(project.options.env?.['USER_SPACE']), 'config.yaml')
  writeFileSync(config, 'mcp: { allow_sign: false }\n')
  t.after(() => rmSync(config))
  const started = await startServe()
  const client = await connectClient(t, started.url, 'modern', token)
  const { tools } = await client.listTools()
  started.process.kill('SIGTERM')
  assert.deepEqual(
    tools.map(({ name }) => name),
    ['search', 'load', 'execute', 'help'],
  )
  assert.equal((await finished(started.process)).code, 0)
})

test('in words, the server says where it is and how a client is configured, on stderr', async () => {
  const child = startKiwi(['serve', '--port', '0'], project.options)
  const lines = createInterface(child.stderr)
  const seen: string[] = []
  lines.on('line', (line) => {
    seen.push(line)
    if (line.includes('Ctrl-C')) child.kill('SIGINT')
  })
  const { code, stdout } = await finished(child)
  assert.deepEqual([code, stdout], [0, ''])
  assert.match(
    seen.join('\n'),
    /Serving MCP at http:\/\/127\.0\.0\.1:\d+\/mcp\n[^]*serve-token[^]*"Authorization": "Bearer \$\{KIWI_SERVE_TOKEN\}"/u,
  )
})

test('a call that runs when the server is stopped is aborted, and the server ends', async (t) => {
  const started = await startServe()
  const client = await connectClient(t, started.url, 'modern', token)
  const asked = once(silent, 'request')
  const calling = assert.rejects(call(client, 'execute', { item_type: 'tool', item_id: 'ask_silent' }))
  const [, response] = await asked
  const stopped = once(response, 'close')
  started.process.kill('SIGTERM')
  assert.equal((await finished(started.process)).code, 0)
  await Promise.all([stopped, calling])
})

test('a port that is in use is an error that says what to do', async () => {
  const { code, stderr } = await project.run('serve', '--port', String(served.port))
  assert.equal(code, 1)
  assert.match(stderr, /Port \d+ is in use[^]*--port/u)
})
