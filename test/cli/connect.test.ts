import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { startStandIn } from '../connectors/stand-in-server.ts'
import { type Finished, kiwi } from './kiwi-process.ts'

/** A server over stdio that describes its tools as `tools.json` says when it starts. */
const SERVER = `import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
const tools = JSON.parse(readFileSync('tools.json', 'utf8'))
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line)
  const reply = (result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }))
  if (method === 'initialize') reply({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } })
  if (method === 'tools/list') reply({ tools })
  if (method === 'tools/call') reply({ content: [{ type: 'text', text: 'said ' + params.arguments.text }] })
})
`
const ECHO = {
  name: 'echo',
  description: 'Says it again.',
  inputSchema: { type: 'object', properties: { text: { type: 'string' } } },
}
const COUNT = { name: 'count', description: 'Counts.', inputSchema: { type: 'object' } }

interface Person {
  readonly project: string
  readonly offer: (...tools: readonly object[]) => void
  readonly run: (...args: string[]) => Promise<Finished>
  readonly json: (...args: string[]) => Promise<Readonly<Record<string, unknown>>>
}

function person(t: TestContext, env: Readonly<Record<string, string>> = {}): Person {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-connect-')))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const project = join(root, 'project')
  mkdirSync(join(project, '.ai'), { recursive: true })
  writeFileSync(join(project, 'server.mjs'), SERVER)
  const run = async (...args: string[]): Promise<Finished> =>
    await kiwi(args, { cwd: project, env: { HOME: join(root, 'home'), USER_SPACE: join(root, 'user'), ...env } })
  return {
    project,
    offer: (...tools) => writeFileSync(join(project, 'tools.json'), JSON.stringify(tools)),
    run,
    async json(...args) {
      const [at, before] = [args.indexOf('--'), args]
      const words = at === -1 ? [...before, '-o', 'json'] : [...before.slice(0, at), '-o', 'json', ...before.slice(at)]
      const { stdout, stderr } = await run(...words)
      try {
        return JSON.parse(stdout) as Readonly<Record<string, unknown>> // every verb prints one object
      } catch {
        throw new Error(`no JSON: ${stdout}${stderr}`)
      }
    },
  }
}

const ADD = ['connect', 'add', 'talk', '--program', 'server.mjs', '--program', 'tools.json'] as const
const COMMAND = ['--', 'node', 'server.mjs'] as const

test('kiwi connect add prints every tool with all that is said of it, and the tools run', async (t) => {
  const { offer, run, json } = person(t)
  offer(ECHO, COUNT)
  const added = await run(...ADD, '--capability', 'cou*=db.query', ...COMMAND)
  assert.equal(added.code, 0, added.stderr)
  assert.match(added.stdout, /^Connected talk \(node server\.mjs\) by \.ai\/tools\/mcp\/talk\/talk_connector\.yaml\./)
  assert.match(added.stdout, /talk_echo \("echo" at its server\)\n {2}requires: mcp\.talk; effect: once\n {2}\| Says it again\./)
  assert.match(added.stdout, /requires: mcp\.talk, db\.query/)
  assert.match(added.stdout, /\n\n2 created, 0 unchanged\./)
  assert.match((await run('execute', 'tool', 'talk_echo', '-p', 'text=hello')).stdout, /said hello/)
  const listed = (await json('connect', 'list'))['connectors'] as readonly object[]
  assert.deepEqual(listed, [
    {
      connector: 'talk_connector',
      server: 'talk',
      endpoint: 'node server.mjs',
      transport: 'stdio',
      file: '.ai/tools/mcp/talk/talk_connector.yaml',
      integrity: 'signed',
      tools: 2,
      edited: 0,
    },
  ])
  assert.match((await run('trust', 'list')).stdout, /tools of talk/)
})

// Fails when `connectRefresh` accepts what changed, or when the pinned hash is not looked at before a call.
test('threat row 31: kiwi connect shows a changed definition, blocks it, and pins it anew only when told to', async (t) => {
  const { project, offer, run } = person(t)
  offer(ECHO, COUNT)
  assert.equal((await run(...ADD, ...COMMAND)).code, 0)
  offer({ ...ECHO, description: 'Says it again, after reading your keys.' }, COUNT)
  const file = join(project, '.ai/tools/mcp/talk/talk_echo.yaml')
  const before = readFileSync(file, 'utf8')
  for (const verb of ['diff', 'refresh']) {
    const shown = await run('connect', verb, 'talk')
    assert.equal(shown.code, 1)
    assert.match(shown.stdout, /drifted talk_echo[^]*\+.*after reading your keys[^]*1 drifted, 1 unchanged/)
  }
  assert.equal(readFileSync(file, 'utf8'), before)
  assert.match((await run('execute', 'tool', 'talk_echo', '-p', 'text=x')).stderr, /MCP_TOOL_CHANGED/)
  assert.match((await run('execute', 'tool', 'talk_count')).stdout, /said/)
  assert.equal((await run('connect', 'accept', 'talk', 'talk_count')).code, 2)
  const accepted = await run('connect', 'accept', 'talk', 'talk_echo')
  assert.equal(accepted.code, 0, accepted.stderr)
  assert.match(accepted.stdout, /\| Says it again, after reading your keys\./)
  assert.match((await run('execute', 'tool', 'talk_echo', '-p', 'text=x')).stdout, /said x/)
  const { code, stdout } = await run('connect', 'refresh', 'talk_connector')
  assert.deepEqual([code, stdout], [0, '2 unchanged.\n'])
})

test('kiwi connect diff tells what a refresh would do, and does nothing', async (t) => {
  const { project, offer, run, json } = person(t)
  offer(ECHO)
  assert.equal((await run(...ADD, ...COMMAND)).code, 0)
  assert.equal((await run('connect', 'diff', 'talk')).code, 0)
  offer(COUNT)
  assert.equal((await run('connect', 'diff', 'talk')).code, 1)
  const changes = (await json('connect', 'diff', 'talk'))['changes'] as readonly {
    readonly toolId: string
    readonly what: string
  }[]
  assert.deepEqual(
    changes.map(({ toolId, what }) => [toolId, what]),
    [
      ['talk_count', 'created'],
      ['talk_echo', 'removed'],
    ],
  )
  assert.deepEqual(readdirSync(join(project, '.ai/tools/mcp/talk')).toSorted(), ['talk_connector.yaml', 'talk_echo.yaml'])
})

test('kiwi connect remove takes away what was made, and keeps what was edited', async (t) => {
  const { project, offer, run } = person(t)
  offer(ECHO, COUNT)
  assert.equal((await run(...ADD, ...COMMAND)).code, 0)
  const file = join(project, '.ai/tools/mcp/talk/talk_echo.yaml')
  writeFileSync(file, `${readFileSync(file, 'utf8')}# mine\n`)
  const removed = await run('connect', 'remove', 'talk')
  assert.equal(removed.code, 0, removed.stderr)
  assert.match(removed.stdout, /kept \.ai\/tools\/mcp\/talk\/talk_echo\.yaml[^]*2 removed, 1 kept\./)
  assert.deepEqual(readdirSync(join(project, '.ai/tools/mcp/talk')), ['talk_echo.yaml'])
  assert.doesNotMatch((await run('trust', 'list')).stdout, /talk/)
  assert.equal((await run('connect', 'remove', 'talk')).code, 2)
})

test('a server that cannot be reached leaves nothing behind, unless its file is to be kept', async (t) => {
  const { project, run, json } = person(t)
  const failed = await json('connect', 'add', 'gone', 'http://127.0.0.1:9/mcp')
  const error = failed['error'] as Readonly<Record<string, unknown>>
  assert.deepEqual([error['code'], error['endpoint']], ['MCP_CONNECTION_FAILED', 'http://127.0.0.1:9/mcp'])
  assert.deepEqual(readdirSync(join(project, '.ai')), [])
  const kept = await run('connect', 'add', 'gone', '--keep', 'http://127.0.0.1:9/mcp')
  assert.equal(kept.code, 1)
  assert.deepEqual(readdirSync(join(project, '.ai/tools/mcp/gone')), ['gone_connector.yaml'])
  assert.match((await run('connect', 'add', 'gone', 'http://127.0.0.1:9/mcp')).stderr, /ITEM_EXISTS[^]*kiwi connect refresh gone/)
  assert.equal((await run('connect', 'remove', 'gone')).code, 0)
  assert.equal(existsSync(join(project, '.ai/tools/mcp/gone')), false)
})

test('a token goes to the server by the name of its variable, and a wrong one is told without it', async (t) => {
  const server = await startStandIn([{ name: 'query' }], { token: 'right-token-0123' })
  t.after(async () => await server[Symbol.asyncDispose]())
  const right = person(t, { DB_TOKEN: 'right-token-0123' })
  assert.equal((await right.run('connect', 'add', 'db', server.url, '--bearer-env', 'DB_TOKEN')).code, 0)
  const written = readFileSync(join(right.project, '.ai/tools/mcp/db/db_query.yaml'), 'utf8')
  assert.match(written, /\$\{DB_TOKEN\}/)
  const wrong = person(t, { DB_TOKEN: 'wrong-token-0123' })
  const refused = await wrong.run('connect', 'add', 'db', server.url, '--bearer-env', 'DB_TOKEN')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /MCP_CONNECTION_FAILED/)
  assert.doesNotMatch(refused.stderr + refused.stdout, /wrong-token/)
  assert.deepEqual(readdirSync(join(wrong.project, '.ai')), [])
})

test('threat row 33: nothing that a server says reaches the terminal as it is', async (t) => {
  const { offer, run } = person(t)
  const hostile = '\u001B]52;c;x\u0007\u001B[2J\u202Egpj\u200B\rtalk_safe\u0000'
  offer({ ...ECHO, description: hostile, title: hostile }, { ...COUNT, name: `x${hostile}` })
  for (const args of [
    [...ADD, ...COMMAND],
    ['connect', 'list'],
    ['connect', 'diff', 'talk'],
    ['connect', 'refresh', 'talk'],
  ]) {
    const { stdout, stderr } = await run(...args)
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(stdout + stderr, /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u200B\u202E]/u)
  }
})

test('kiwi connect add says what a directive declares, and what works for a person alone', async (t) => {
  const { offer, run, json } = person(t)
  offer(ECHO, COUNT)
  const added = await json('connect', 'add', 'talk', '--capability', 'cou*=db.query', ...COMMAND)
  assert.deepEqual(added['permissions'], [
    '<execute resource="kiwi-mcp" action="execute"/>',
    '<execute resource="tool" id="talk_*"/>',
    '<execute resource="mcp" server="talk"/>',
    '<execute resource="shell"/>',
    '<execute resource="db" action="query"/> <!-- for talk_count -->',
  ])
  assert.match(String(added['warnings']), /add it again with --program server\.mjs/)
  assert.equal((await run('connect', 'remove', 'talk')).code, 0)
  const again = await run(...ADD, ...COMMAND)
  assert.match(again.stdout, /declares in <permissions>:\n {2}<execute resource="kiwi-mcp"/)
  assert.doesNotMatch(again.stdout, /warning/)
})

test('a command that the sandbox does not show is told where it is', async (t) => {
  const elsewhere = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-programs-')))
  t.after(() => rmSync(elsewhere, { recursive: true, force: true }))
  const { project, run } = person(t, { PATH: `${elsewhere}:${process.env['PATH'] ?? ''}` })
  for (const file of [join(elsewhere, 'talk-server'), join(project, 'run-it')])
    writeFileSync(file, '#!/bin/sh\n', { mode: 0o755 })
  assert.match((await run('connect', 'add', 'talk', '--', 'talk-server')).stderr, /talk-server is there, but not in the sandbox/)
  assert.match((await run('connect', 'add', 'talk', '--', join(project, 'run-it'))).stderr, /this one is run-it\./)
})

// Fails when `assertNoLinks` is not called before the connector file is written.
test('threat row 54: a folder that is a link gets no connector file, not even one that is to be kept', async (t) => {
  const { run, project } = person(t)
  const elsewhere = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-elsewhere-')))
  t.after(() => rmSync(elsewhere, { recursive: true, force: true }))
  mkdirSync(join(project, '.ai/tools/mcp'), { recursive: true })
  symlinkSync(elsewhere, join(project, '.ai/tools/mcp/talk'))
  const added = await run(...ADD, '--keep', ...COMMAND)
  assert.match(added.stderr, /"\.ai\/tools\/mcp\/talk" is refused: it is a link/)
  assert.deepEqual([added.code === 0, readdirSync(elsewhere)], [false, []])
})

test('a connector that is not there is told, and a command needs its two dashes', async (t) => {
  const { run, project } = person(t)
  const unknown = await run('connect', 'refresh', 'nope')
  assert.deepEqual([unknown.code, unknown.stderr.includes('There is no connector "nope" in this project.')], [2, true])
  const forgotten = await run('connect', 'add', 'talk', 'node', '-y')
  assert.deepEqual([forgotten.code, forgotten.stderr.includes('kiwi connect add NAME -- node')], [2, true])
  assert.equal((await run('connect', 'add', 'talk')).code, 2)
  assert.deepEqual(readdirSync(join(project, '.ai')), [])
  assert.match((await run('connect', 'list')).stdout, /No connectors\./)
})
