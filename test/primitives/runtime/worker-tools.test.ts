import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { RuntimeOutcome } from '../../../src/primitives/runtime/contract.ts'
import { createRuntimePrimitive, type RuntimeOptions, type RuntimePrimitive } from '../../../src/primitives/runtime/runtime.ts'
import type { Grant, NetworkGrant, PathRule } from '../../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { CALLERS, exact, tree, within } from '../sandbox/sandboxed.ts'
import { runTools } from './tool-host.ts'

const project = mkdtempSync(join(tmpdir(), 'kiwi-workers-'))
const sandbox = createSandbox({ mode: 'bubblewrap' })
const primitive = createRuntimePrimitive({ sandbox })

before(() => {
  mkdirSync(join(project, 'src'))
  writeFileSync(join(project, 'src/a.txt'), 'a')
})
after(async () => {
  await primitive.close()
  rmSync(project, { recursive: true, force: true })
})

interface Run {
  readonly on?: RuntimePrimitive
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly config?: Readonly<Record<string, unknown>>
  readonly context?: Readonly<Record<string, unknown>>
  readonly imports?: Readonly<Record<string, string>>
  readonly grant?: Partial<Grant>
}

async function run(code: string, options: Run = {}): Promise<RuntimeOutcome> {
  const { on = primitive, parameters = {}, config = {}, context = {}, imports = {}, grant } = options
  return await on.execute({
    config,
    parameters,
    context: { projectPath: project, ...context, ...(grant === undefined ? {} : { __grant: grantOf(grant) }) },
    runtimeTool: {
      id: 'tool',
      path: join(project, '.ai/tools/some/tool.ts'),
      space: 'project',
      bytes: Buffer.from(code),
      imports: new Map(Object.entries(imports).map(([path, text]) => [path, Buffer.from(text)])),
    },
  })
}

function grantOf(grant: Partial<Grant>): Grant {
  return { id: 'g', threadId: null, read: [], write: [], network: { kind: 'none' }, isLive: () => true, ...grant }
}

/** Answers with the number of calls that its process has served. */
const COUNTER = 'let calls = 0; export default () => { calls += 1; return calls }'

async function withPrimitive<T>(options: Omit<RuntimeOptions, 'sandbox'>, use: (on: RuntimePrimitive) => Promise<T>): Promise<T> {
  const on = createRuntimePrimitive({ sandbox, ...options })
  try {
    return await use(on)
  } finally {
    await on.close()
  }
}

test('a tool of a project gets its parameters, the project folder and a signal, and nothing of the caller or its environment', async () => {
  const code = `export default ({ a }: { a: number }, context: any) => [a + 1, Object.keys(context).sort(), context.projectPath, Object.keys(process.env), process.cwd()]`
  const context = { __auth: 'token', services: {}, __thread_id: 't', __sinks: [] }
  const { value, sandbox: ranIn } = await run(code, { parameters: { a: 1 }, context })
  assert.deepEqual([value, ranIn], [[2, ['projectPath', 'signal'], '/project', [], '/project'], 'bubblewrap'])
})

test('a call without a grant sees nothing of the project, and one with a grant what it names', async () => {
  const code = `import * as fs from 'node:fs'
    export default ({ path }: any) => { try { return fs.readFileSync(path, 'utf8') } catch (error: any) { return error.code } }`
  const read = async (path: string, rules?: readonly PathRule[]): Promise<unknown> =>
    (await run(code, { parameters: { path }, ...(rules === undefined ? {} : { grant: { read: rules } }) })).value
  assert.equal(await read('/project/src/a.txt'), 'ERR_ACCESS_DENIED')
  assert.equal(await read('/project/src/a.txt', [tree('src')]), 'a')
  assert.equal(await read('/project/src/a.txt', [exact('src', 'a.txt')]), 'a')
  assert.equal(await read(join(project, 'src/a.txt'), [tree()]), 'ERR_ACCESS_DENIED')
})

test('threat row 42: a tool and what it imports are the verified bytes, and another local import is refused', async () => {
  // Fails when the hook falls through to the disk: both files are there, with other content.
  mkdirSync(join(project, '.ai/tools/lib'), { recursive: true })
  writeFileSync(join(project, '.ai/tools/lib/x.ts'), "export const x = 'swapped'")
  writeFileSync(join(project, '.ai/tools/lib/y.ts'), "export const y = 'unsigned'")
  const imports = { '../lib/x.ts': "export const x: string = 'verified'" }
  const grant = { read: [tree()] }
  const used = await run(`import { x } from '../lib/x.ts'; export default () => x`, { imports, grant })
  assert.equal(used.value, 'verified')
  for (const specifier of ['../lib/y.ts', '/project/src/a.txt', 'file:///project/.ai/tools/lib/y.ts', 'data:text/javascript,1']) {
    const { error } = await run(`export default async () => { await import('${specifier}') }`, { imports, grant })
    assert.match(error?.message ?? '', /not part of the signed tool/)
  }
})

test('what a tool throws and prints is told, with paths as the project has them', async () => {
  const code = `export default (_: unknown, { projectPath }: any) => { console.log('one'); console.error('two'); throw new RangeError('in ' + projectPath + '/src/a.txt') }`
  const { error } = await run(code)
  assert.deepEqual([error?.code, error?.message], ['EXECUTION_FAILED', 'RangeError: in src/a.txt'])
  assert.deepEqual(error?.detail, { tool_output: 'one\ntwo\n' })
})

test('what cannot be loaded, has no function or is no JSON is said', async () => {
  assert.match((await run('export default (')).error?.message ?? '', /cannot be loaded: SyntaxError/)
  assert.match((await run('export const x = 1')).error?.message ?? '', /no default export/)
  assert.match((await run('export default () => ({ a: [1n] })')).error?.message ?? '', /result\.a\[0\] is a bigint/)
  assert.match((await run("export default () => 'x'.repeat(9_000_000)")).error?.message ?? '', /are the most/)
  assert.deepEqual((await run('export default () => undefined')).value, null)
})

test('a worker is used again for the same tool and grant, and for nothing else', async () => {
  const other = `${COUNTER} // other`
  const calls = [
    [COUNTER, { grant: {} }],
    [COUNTER, { grant: {} }],
    [COUNTER, { grant: { id: 'other' } }],
    [COUNTER, {}],
    [other, { grant: {} }],
    [COUNTER, { grant: {}, imports: { 'x.ts': '' } }],
    [COUNTER, { grant: {} }],
  ] as const
  const values = await withPrimitive({}, async (on) => {
    const seen: unknown[] = []
    for (const [code, options] of calls) seen.push((await run(code, { on, ...options })).value)
    return seen
  })
  assert.deepEqual(values, [1, 2, 1, 1, 1, 1, 3])
})

test('a worker is not used again after the file that it was shown was replaced, or a closed name was made beside it', async () => {
  const grant = { read: [tree('view')] }
  mkdirSync(join(project, 'view'))
  const values = await withPrimitive({}, async (on) => {
    const first = [await run(COUNTER, { on, grant }), await run(COUNTER, { on, grant })]
    // Fails when the view is not part of what a worker is kept under: the warm one would see the file.
    writeFileSync(join(project, 'view/.env'), 'SECRET=1')
    const code = `import * as fs from 'node:fs'; export default () => { try { return fs.readFileSync('/project/view/.env', 'utf8') } catch (error: any) { return error.code } }`
    return [...first, await run(COUNTER, { on, grant }), await run(code, { on, grant })].map(({ value }) => value)
  })
  assert.deepEqual(values, [1, 2, 1, 'EACCES'])
})

test('threat row 55: what a tool made under a closed name obeys nobody by the time its result is known', async () => {
  mkdirSync(join(project, 'out'))
  const code = `import * as fs from 'node:fs'
    export default () => { fs.mkdirSync('/project/out/.git/hooks', { recursive: true }); fs.writeFileSync('/project/out/.git/hooks/pre-commit', 'x'); return 'made' }`
  // Fails when the worker is kept warm without a second look.
  assert.equal((await run(code, { grant: { write: [tree('out')] } })).value, 'made')
  assert.equal(readdirSync(join(project, 'out')).includes('.git'), false)
})

/** Processes that this one has started and that still run. */
function children(): readonly string[] {
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean)
}

test('a late or cancelled tool is stopped, and its worker with it', async () => {
  const spin = 'export default ({ ms }: any) => { if (ms === 0) return 1; for (;;); }'
  await withPrimitive({}, async (on) => {
    assert.equal((await run(spin, { on, parameters: { ms: 0 } })).value, 1)
    const late = await run(spin, { on, parameters: { ms: 1 }, config: { timeout_ms: 50 } })
    assert.equal(late.error?.code, 'TIMEOUT')
    const wait = `export default () => new Promise(() => {})`
    const earlier = children()
    const controller = new AbortController()
    const running = run(wait, { on, context: { signal: controller.signal } })
    controller.abort()
    assert.equal((await running).error?.code, 'ABORTED')
    const stopped = await within(10_000, () => children().filter((pid) => !earlier.includes(pid)).length === 0)
    assert.equal(stopped, true)
  })
})

const MISBEHAVIOURS: readonly (readonly [string, string, RegExp])[] = [
  [
    'writes garbage to the pipe',
    "import * as fs from 'node:fs'; export default () => { fs.writeSync(1, 'garbage!garbage!') }",
    /no message/,
  ],
  [
    'answers a call that is not open',
    `import * as fs from 'node:fs'; export default async () => { const text = JSON.stringify({ type: 'result', id: 99, value: 1 }); const head = Buffer.alloc(4); head.writeUInt32LE(text.length); fs.writeSync(1, Buffer.concat([head, Buffer.from(text)])); await new Promise(() => {}) }`,
    /not open/,
  ],
  [
    'announces too long a message',
    "import * as fs from 'node:fs'; export default async () => { fs.writeSync(1, Buffer.from([0, 0, 0, 127])); await new Promise(() => {}) }",
    /announced/,
  ],
  ['ends its process', 'export default () => { process.exit(3) }', /exit code 3/],
]
for (const [what, code, reason] of MISBEHAVIOURS) {
  test(`a worker whose tool ${what} is gone, and the next call gets another`, async () => {
    await withPrimitive({}, async (on) => {
      const { error } = await run(code, { on, config: { timeout_ms: 10_000 } })
      assert.equal(error?.code, 'EXECUTION_FAILED')
      assert.match(error.message, reason)
      assert.equal((await run(COUNTER, { on })).value, 1)
    })
  })
}

test('the least recently used idle worker makes room, and a call waits while all are busy', async () => {
  await withPrimitive({ maxWorkers: 2 }, async (on) => {
    const tool = (name: string): string => `${COUNTER} // ${name}`
    for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) await run(tool(name), { on })
    // `c` took the place of `b`, and `b` that of `c`: `a` was always used later.
    assert.deepEqual([(await run(tool('a'), { on })).value, (await run(tool('b'), { on })).value], [4, 2])
    const slow = 'export default () => new Promise((resolve) => setTimeout(resolve, 50, process.pid))'
    const values = await Promise.all([1, 2, 3, 4].map(async (n) => (await run(`${slow} // ${n}`, { on })).error))
    assert.deepEqual(values, [null, null, null, null])
  })
})

test('an idle worker ends by itself', async () => {
  await withPrimitive({ idleMs: 20 }, async (on) => {
    const earlier = children()
    assert.equal((await run(COUNTER, { on })).value, 1)
    assert.equal(await within(10_000, () => children().filter((pid) => !earlier.includes(pid)).length === 0), true)
    assert.equal((await run(COUNTER, { on })).value, 1)
  })
})

test('an idle worker does not keep its host alive', async () => {
  const [caller] = CALLERS
  assert.ok(caller)
  for (const mode of ['bubblewrap', 'none'] as const) {
    // Fails without unref: the host would be killed.
    const { exitCode, outcomes } = await runTools(caller, { project, mode, close: false, runs: [{ code: COUNTER }] })
    assert.deepEqual([exitCode, outcomes[0]?.value], [0, 1])
  }
})

test('without a sandbox a tool is refused with the line that installs it, and with mode none it runs and the outcome says so', async () => {
  const missing = createRuntimePrimitive({
    sandbox: createSandbox({ mode: 'bubblewrap', programs: { bwrap: '/nowhere/bwrap', prlimit: 'prlimit' } }),
  })
  const { error } = await run(COUNTER, { on: missing })
  assert.deepEqual([error?.code, /install/.test(error?.message ?? '')], ['SANDBOX_UNAVAILABLE', true])
  const open = createRuntimePrimitive({ sandbox: createSandbox({ mode: 'none' }) })
  const code = `import * as fs from 'node:fs'; export default (_: unknown, { projectPath }: any) => { let denied = ''; try { fs.readFileSync(projectPath + '/src/a.txt') } catch (error: any) { denied = error.code } return [denied, Object.keys(process.env)] }`
  const outcome = await run(code, { on: open })
  await open.close()
  assert.deepEqual([outcome.sandbox, outcome.value], ['none', ['ERR_ACCESS_DENIED', []]])
})

async function withServer<T>(use: (url: string, server: Server) => Promise<T>): Promise<T> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = JSON.stringify({
        method: request.method,
        tag: request.headers['x-tag'],
        text: Buffer.concat(chunks).toString(),
      })
      response
        .writeHead(request.url === '/missing' ? 404 : 200, { 'content-type': 'application/json', 'x-from': 'server' })
        .end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  try {
    return await use(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`, server)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

test('a tool fetches through its host as far as its grant reaches', async () => {
  const code = `export default async ({ url }: any) => {
    try {
      const response = await fetch(url, { method: 'POST', headers: { 'x-tag': 't' }, body: 'hi' })
      return [response instanceof Response, response.status, response.ok, response.url === url, response.headers.get('x-from'), await response.json()]
    } catch (error: any) { return error.message }
  }`
  await withServer(async (base) => {
    const ask = async (path: string, network: NetworkGrant): Promise<unknown> =>
      (await run(code, { parameters: { url: base + path }, grant: { id: JSON.stringify(network), network } })).value
    const echo = { method: 'POST', tag: 't', text: 'hi' }
    assert.deepEqual(await ask('/x', { kind: 'open' }), [true, 200, true, true, 'server', echo])
    assert.deepEqual(await ask('/missing', { kind: 'open' }), [true, 404, false, true, 'server', echo])
    assert.match(String(await ask('/x', { kind: 'none' })), /<execute resource="net" host="127\.0\.0\.1:\d+"\/>/)
    const closed = { allows: () => false, allowsPrivate: () => false }
    assert.match(String(await ask('/x', { kind: 'scoped', policy: closed })), /fetch failed/)
  })
})
