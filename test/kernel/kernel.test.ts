import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Authorize } from '../../src/kernel/contract.ts'
import { createTestProject, createTestServer, errorOf, valueOf } from './project.ts'

const ECHO_TOOL = `tool_id: make_thing
tool_type: http
version: 1.0.0
executor_id: http_client
description: Make a thing.
requires: [net.http]
parameters:
  - { name: kind, type: string, required: true }
  - { name: count, type: integer, default: 2 }
  - { name: note, type: string }
config:
  method: POST
  url: "\${BASE}/things/{kind}"
  query: { note: "{note}" }
  headers: { authorization: "Bearer \${KEY}", x-kind: "kind {kind}" }
  body: { kind: "{kind}", count: "{count}", note: "{note}", fixed: [1, "{note}", 2] }
`

test('an HTTP tool of the project sends what its template says', async () => {
  await using server = await createTestServer((_, response) =>
    response.setHeader('content-type', 'application/json').end('{"made":true}'),
  )
  await using project = await createTestProject()
  project.env.set('BASE', server.url).set('KEY', 'k1')
  await project.item('tools/make_thing.yaml', ECHO_TOOL)
  const result = await project.execute('make_thing', { kind: 'a/b ${KEY}' })
  assert.equal(result.success, true, JSON.stringify(result))
  const [request] = server.requests
  assert.equal(request?.url, '/things/a%2Fb%20%24%7BKEY%7D')
  assert.deepEqual(JSON.parse(request?.body ?? ''), { kind: 'a/b ${KEY}', count: 2, fixed: [1, 2] })
  assert.deepEqual([request?.headers['authorization'], request?.headers['x-kind']], ['Bearer k1', 'kind a/b ${KEY}'])
})

test('a primitive can be executed directly, with its configuration as parameters', async () => {
  await using server = await createTestServer((_, response) => response.end('hello'))
  await using project = await createTestProject()
  const value = valueOf(await project.execute('http_client', { url: `${server.url}/{literal}`, method: 'GET' }))
  assert.equal((value as { body: string }).body, 'hello')
  assert.equal(server.requests[0]?.url, '/%7Bliteral%7D')
})

test('a leaf overrides the links behind it and needs only the parameters that are still used', async () => {
  await using server = await createTestServer((_, response) => response.end())
  await using project = await createTestProject()
  project.env.set('BASE', server.url).set('KEY', 'k')
  await project.item('tools/make_thing.yaml', ECHO_TOOL)
  await project.item(
    'tools/make_box.yaml',
    'tool_id: make_box\ntool_type: http\nversion: 1.0.0\nexecutor_id: make_thing\ndescription: x\nconfig:\n  url: "${BASE}/boxes"\n  headers: { x-kind: box }\n  body: { kind: box }\n',
  )
  const result = await project.execute('make_box', { note: 'n' })
  assert.equal(result.success, true, JSON.stringify(result))
  assert.deepEqual(JSON.parse(server.requests[0]?.body ?? ''), { kind: 'box', count: 2, note: 'n', fixed: [1, 'n', 2] })
})

test('a failed request is EXECUTION_FAILED with its cause, the chain and the result', async () => {
  await using server = await createTestServer((_, response) =>
    response.writeHead(503, { 'content-type': 'text/plain' }).end('busy'),
  )
  await using project = await createTestProject()
  project.env.set('BASE', server.url).set('KEY', 'k')
  await project.item('tools/make_thing.yaml', `${ECHO_TOOL}retry: { max_attempts: 1 }\n`)
  const result = await project.execute('make_thing', { kind: 'x' })
  const error = errorOf(result)
  assert.deepEqual(
    [error.code, error.cause?.code, error.failed_at?.tool_id, error.retryable],
    ['EXECUTION_FAILED', '503_SERVICE_UNAVAILABLE', 'http_client', true],
  )
  assert.deepEqual(error.chain, ['make_thing', 'http_client'])
  assert.equal((result as { result?: { body: string } }).result?.body, 'busy')
})

test('threat row 15: a control character in a value sends nothing', async () => {
  await using server = await createTestServer((_, response) => response.end())
  await using project = await createTestProject()
  project.env.set('BASE', server.url).set('KEY', 'k')
  await project.item('tools/make_thing.yaml', ECHO_TOOL)
  for (const kind of ['a\r\nX: y', 'a\rb', 'a\u0000b', 'a\u010ab', '..']) {
    const error = errorOf(await project.execute('make_thing', { kind }))
    assert.deepEqual(
      [error.code, error.cause?.code, error.failed_at?.tool_id],
      ['TOOL_CHAIN_FAILED', 'CONFIG_VALIDATION_ERROR', 'make_thing'],
    )
  }
  assert.equal(server.requests.length, 0)
})

test('parameters that do not fit are refused with every field at once', async () => {
  await using project = await createTestProject()
  await project.item('tools/make_thing.yaml', ECHO_TOOL)
  const error = errorOf(await project.execute('make_thing', { count: 'two', other: 1 }))
  assert.equal(error.code, 'PARAMETER_VALIDATION_ERROR')
  assert.deepEqual(error.failed_at?.validation_errors.map(({ field }) => field).toSorted(), ['count', 'kind', 'other'])
})

test('parameters that begin with two underscores are refused', async () => {
  await using project = await createTestProject()
  await project.item('tools/make_thing.yaml', ECHO_TOOL)
  const error = errorOf(await project.execute('make_thing', { kind: 'x', __auth: 'forged' }))
  assert.deepEqual(error.failed_at?.validation_errors[0]?.field, '__auth')
})

test('a value that the primitive does not accept is blamed on the link that set it', async () => {
  await using project = await createTestProject()
  const tool = (id: string, executor: string, config: string): string =>
    `tool_id: ${id}\ntool_type: http\nversion: 1.0.0\nexecutor_id: ${executor}\ndescription: x\nconfig: ${config}\n`
  await project.item('tools/middle.yaml', tool('middle', 'http_client', '{url: "http://127.0.0.1:1/", mode: sideways}'))
  await project.item('tools/leaf.yaml', tool('leaf', 'middle', '{headers: {a: b}}'))
  const error = errorOf(await project.execute('leaf'))
  assert.deepEqual([error.code, error.cause?.code], ['TOOL_CHAIN_FAILED', 'CONFIG_VALIDATION_ERROR'])
  assert.deepEqual(
    [error.chain, error.failed_at?.tool_id, error.failed_at?.config_path],
    [['leaf', 'middle', 'http_client'], 'middle', 'config.mode'],
  )
})

const BROKEN: readonly (readonly [string, readonly (readonly [string, string])[], string, RegExp])[] = [
  [
    'a cycle',
    [
      ['one', 'two'],
      ['two', 'one'],
    ],
    'two',
    /cycle/,
  ],
  ['a missing executor', [['one', 'nothing_here']], 'one', /nothing_here/],
]
for (const [what, links, failedAt, message] of BROKEN) {
  test(`${what} in a chain is an error that names the link`, async () => {
    await using project = await createTestProject()
    for (const [id, executor] of links)
      await project.item(
        `tools/${id}.yaml`,
        `tool_id: ${id}\ntool_type: http\nversion: 1.0.0\nexecutor_id: ${executor}\ndescription: x\n`,
      )
    const error = errorOf(await project.execute('one'))
    assert.deepEqual(
      [error.code, error.failed_at?.tool_id, error.failed_at?.config_path],
      ['TOOL_CHAIN_FAILED', failedAt, 'executor_id'],
    )
    assert.match(error.message, message)
  })
}

test('a tool that runs a command through the subprocess primitive gets its arguments as data', async () => {
  await using project = await createTestProject()
  await project.item(
    'tools/say.yaml',
    'tool_id: say\ntool_type: command\nversion: 1.0.0\nexecutor_id: subprocess\ndescription: x\nparameters:\n  - { name: text, type: string, required: true }\n  - { name: more, type: string }\nconfig: { command: printf, args: ["%s", "<{text}>", "{more}"] }\n',
  )
  const value = valueOf(await project.execute('say', { text: '$(id)' }))
  assert.equal((value as { stdout: string }).stdout, '<$(id)>')
})

const RUNTIME = (body: string): string => `export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __description__ = 'x'
export const PARAMETERS = { type: 'object', properties: { a: { type: 'integer', default: 4 } }, additionalProperties: false }
${body}
`

test('a signed runtime tool of the project runs', async () => {
  await using project = await createTestProject()
  await project.item('tools/double.ts', RUNTIME('export default async ({ a }: { a: number }) => ({ twice: 2 * a })'))
  assert.deepEqual(valueOf(await project.execute('double')), { twice: 8 })
})

test('what a runtime tool returns as a failure is a failure with its own code', async () => {
  await using project = await createTestProject()
  await project.item(
    'tools/refuse.ts',
    RUNTIME("export default () => ({ success: false, error: { code: 'NO_WAY', message: 'no', hint: 1 } })"),
  )
  const error = errorOf(await project.execute('refuse'))
  assert.deepEqual([error.code, error.message, error['hint'], error.chain], ['NO_WAY', 'no', 1, ['refuse', 'node']])
})

test('threat row 57: what a runtime tool throws names no absolute path', async () => {
  await using project = await createTestProject()
  await project.item(
    'tools/throw.ts',
    RUNTIME(
      'export default (_: unknown, { projectPath }: any) => { throw new Error(`cannot open ${projectPath}/src/a.txt in ${projectPath}`) }',
    ),
  )
  const error = errorOf(await project.execute('throw'))
  assert.equal(error.code, 'EXECUTION_FAILED')
  assert.match(error.message, /cannot open src\/a\.txt in \.$/)
  assert.doesNotMatch(JSON.stringify(error), new RegExp(project.root))
})

test('threat row 40: an unsigned, a changed and a half-signed item each refuse to run with the line that signs it', async () => {
  await using project = await createTestProject()
  const marker = RUNTIME('globalThis.kiwiRan = true; export default () => 1')
  await project.write('.ai/tools/mine.ts', marker)
  const unsigned = errorOf(await project.execute('mine'))
  assert.deepEqual([unsigned.code, /kiwi sign tool mine/.test(unsigned.suggestion ?? '')], ['ITEM_UNSIGNED', true])
  await project.item('tools/mine.ts', marker)
  await project.write('.ai/tools/mine.ts', `${await readFile(join(project.root, '.ai/tools/mine.ts'), 'utf8')}// more\n`)
  assert.equal(errorOf(await project.execute('mine')).code, 'ITEM_CHANGED')
  assert.equal(Reflect.get(globalThis, 'kiwiRan'), undefined)
})

test('an unsigned link keeps a signed leaf from running and is named', async () => {
  await using project = await createTestProject()
  await project.write(
    '.ai/tools/below.yaml',
    'tool_id: below\ntool_type: http\nversion: 1.0.0\nexecutor_id: http_client\ndescription: x\nconfig: { url: "http://127.0.0.1:1" }\n',
  )
  await project.item('tools/above.yaml', 'tool_id: above\ntool_type: http\nversion: 1.0.0\nexecutor_id: below\ndescription: x\n')
  const error = errorOf(await project.execute('above'))
  assert.deepEqual([error.code, error.failed_at?.tool_id], ['ITEM_UNSIGNED', 'below'])
})

test('a tool that was changed and signed again runs as it is now', async () => {
  await using project = await createTestProject()
  const values: unknown[] = []
  for (const version of ['one', 'two']) {
    await project.item('tools/version.ts', RUNTIME(`export default () => '${version}'`))
    values.push(valueOf(await project.execute('version')))
  }
  assert.deepEqual(values, ['one', 'two'])
})

test('authorization sees the real parameters and every requirement of the chain, and is obeyed', async () => {
  const asked: Parameters<Authorize>[0][] = []
  const authorize: Authorize = async (request) => {
    asked.push(request)
    return request.verb === 'execute'
      ? { permitted: false, missing: ['net.http'], suggestion: 'Ask for it.' }
      : { permitted: true }
  }
  await using server = await createTestServer((_, response) => response.end())
  await using project = await createTestProject({ authorize })
  project.env.set('BASE', server.url).set('KEY', 'k')
  await project.item('tools/make_thing.yaml', ECHO_TOOL)
  const error = errorOf(await project.execute('make_thing', { kind: 'x' }))
  assert.deepEqual([error.code, error['missing'], error.suggestion], ['PERMISSION_DENIED', ['net.http'], 'Ask for it.'])
  const request = asked.find(({ verb }) => verb === 'execute')
  assert.deepEqual([request?.parameters, request?.requires.includes('net.http')], [{ kind: 'x', count: 2 }, true])
  assert.equal(server.requests.length, 0)
})

const WRAPPER = (id: string, rest: string): string =>
  `tool_id: ${id}\ntool_type: runtime\nversion: 1.0.0\nexecutor_id: read_file\ndescription: x\n${rest}`

test("a tool file over a runtime tool leaves, fixes or fills that tool's parameters", async () => {
  await using project = await createTestProject()
  await project.write('a.txt', 'hello')
  await project.item('tools/plain.yaml', WRAPPER('plain', 'config: { timeout_ms: 5000 }\n'))
  await project.item('tools/fixed.yaml', WRAPPER('fixed', 'config: { parameters: { path: a.txt, max_bytes: 2 } }\n'))
  await project.item(
    'tools/filled.yaml',
    WRAPPER('filled', 'parameters: [{ name: file, type: string, required: true }]\nconfig: { parameters: { path: "{file}" } }\n'),
  )
  const contents: unknown[] = []
  for (const [id, parameters] of [
    ['plain', { path: 'a.txt' }],
    ['fixed', {}],
    ['filled', { file: 'a.txt' }],
  ] as const) {
    contents.push((valueOf(await project.execute(id, parameters)) as { content: string }).content)
  }
  assert.deepEqual(contents, ['hello', 'he', 'hello'])
})

test('authorization sees the parameters that a wrapped runtime tool really gets', async () => {
  const seen: unknown[] = []
  const authorize: Authorize = async ({ verb, requires, parameters }) => {
    if (verb === 'execute') seen.push([requires, parameters['path']])
    return { permitted: true }
  }
  await using project = await createTestProject({ authorize })
  await project.write('a.txt', 'hello')
  await project.item(
    'tools/sly.yaml',
    WRAPPER(
      'sly',
      'parameters: [{ name: path, type: string }, { name: file, type: string }]\nconfig: { parameters: { path: "{file}" } }\n',
    ),
  )
  valueOf(await project.execute('sly', { path: 'allowed/x', file: 'a.txt' }))
  assert.deepEqual(seen, [
    [[], 'allowed/x'],
    [['fs.read'], 'a.txt'],
  ])
})

test('an id that is one slip away from an item names that item', async () => {
  await using project = await createTestProject()
  const error = errorOf(await project.kernel.execute({ item_type: 'tool', item_id: 'raed_file' }))
  assert.equal(error.code, 'ITEM_NOT_FOUND')
  assert.equal(error.suggestion, 'Did you mean "read_file"?')
})
