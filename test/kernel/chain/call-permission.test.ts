import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Authorize } from '../../../src/kernel/contract.ts'
import type { PrimitiveCall, PrimitiveOutcome } from '../../../src/kernel/chain/primitive.ts'
import type { Grant } from '../../../src/primitives/sandbox/contract.ts'
import { createTestProject, createTestServer, errorOf, valueOf } from '../project.ts'

type Question = Parameters<Authorize>[0]

/** A port that keeps every question about a call and answers with `answer`. */
function recording(answer: (question: Question) => Awaited<ReturnType<Authorize>> = () => ({ permitted: true })): {
  readonly authorize: Authorize
  readonly asked: Question[]
} {
  const asked: Question[] = []
  return {
    asked,
    async authorize(question) {
      if (question.verb !== 'execute') return { permitted: true }
      asked.push(question)
      return answer(question)
    },
  }
}

const refusing =
  (capability: string) =>
  ({ requires }: Question): Awaited<ReturnType<Authorize>> =>
    requires.some((requirement) => (typeof requirement === 'string' ? requirement : requirement.cap) === capability)
      ? { permitted: false, missing: [capability], suggestion: 'Declare it.' }
      : { permitted: true }

const GRANT: Grant = { id: 'g', threadId: 't', read: [], write: [], network: { kind: 'none' }, isLive: () => true }

const tool = (id: string, executor: string, rest: string): string =>
  `tool_id: ${id}\ntool_type: http\nversion: 1.0.0\nexecutor_id: ${executor}\ndescription: x\n${rest}`

const FETCH = tool(
  'fetch_thing',
  'http_client',
  'requires: [db.query]\nparameters: [{ name: kind, type: string, required: true }]\nconfig: { url: "${BASE}/{kind}", method: GET }\n',
)

/** A primitive that does nothing but keep the calls that reached it. */
function keepingPrimitive(outcome: PrimitiveOutcome = { value: 'done', error: null }): {
  readonly primitives: readonly { readonly id: string; execute(call: PrimitiveCall): Promise<PrimitiveOutcome> }[]
  readonly calls: PrimitiveCall[]
} {
  const calls: PrimitiveCall[] = []
  return {
    calls,
    primitives: [
      {
        id: 'http_client',
        async execute(call) {
          calls.push(call)
          await Promise.allSettled(call.sinks.map(async ({ sink }) => await sink.close()))
          return outcome
        },
      },
    ],
  }
}

test('the tool is asked for with what the caller gave, the primitive with what it will really do', async () => {
  const { authorize, asked } = recording()
  await using project = await createTestProject({ authorize, primitives: keepingPrimitive().primitives })
  project.env.set('BASE', 'http://example.com')
  await project.item('tools/fetch_thing.yaml', FETCH)
  valueOf(await project.execute('fetch_thing', { kind: 'a b' }))
  assert.deepEqual(
    asked.map(({ itemId, requires, parameters }) => [itemId, requires, parameters]),
    [
      ['fetch_thing', ['db.query'], { kind: 'a b' }],
      ['fetch_thing', ['net.http'], { url: 'http://example.com/a%20b', method: 'GET' }],
    ],
  )
})

test('every question names what the whole chain requires', async () => {
  const { authorize, asked } = recording()
  await using project = await createTestProject({ authorize, primitives: keepingPrimitive().primitives })
  project.env.set('BASE', 'http://example.com')
  await project.item('tools/fetch_thing.yaml', FETCH)
  await project.item(
    'tools/outer.yaml',
    tool('outer', 'fetch_thing', 'requires: [git.read, db.query]\nconfig: { url: "${BASE}/" }\n'),
  )
  valueOf(await project.execute('outer'))
  assert.deepEqual(
    asked.map(({ chainRequires }) => chainRequires),
    [
      ['git.read', 'db.query', 'net.http'],
      ['git.read', 'db.query', 'net.http'],
    ],
  )
})

test('a primitive called directly is one question about its parameters', async () => {
  const { authorize, asked } = recording()
  await using project = await createTestProject({ authorize, primitives: keepingPrimitive().primitives })
  valueOf(await project.execute('http_client', { url: 'http://example.com/' }))
  assert.deepEqual(
    asked.map(({ itemId, requires, parameters }) => [itemId, requires, parameters['url']]),
    [['http_client', ['net.http'], 'http://example.com/']],
  )
})

test('a tool that needs nothing but its primitive sends nothing when that is denied', async () => {
  const { authorize } = recording(refusing('net.http'))
  await using server = await createTestServer((_, response) => response.end())
  await using project = await createTestProject({ authorize })
  project.env.set('BASE', server.url)
  await project.item('tools/fetch_thing.yaml', FETCH)
  const error = errorOf(await project.execute('fetch_thing', { kind: 'x' }))
  assert.deepEqual(
    [error.code, error['missing'], error.suggestion, error.chain],
    ['PERMISSION_DENIED', ['net.http'], 'Declare it.', ['fetch_thing', 'http_client']],
  )
  assert.equal(server.requests.length, 0)
})

test('a denial has the code of the answer', async () => {
  const { authorize } = recording(() => ({ permitted: false, missing: ['a token'], suggestion: 's', code: 'TOKEN_INVALID' }))
  await using project = await createTestProject({ authorize })
  assert.equal(errorOf(await project.execute('list_files')).code, 'TOKEN_INVALID')
})

test('what is wrong with a configuration is told only to those who may execute the tool', async () => {
  await using denied = await createTestProject({ authorize: recording(refusing('db.query')).authorize })
  await denied.item('tools/fetch_thing.yaml', FETCH)
  assert.equal(errorOf(await denied.execute('fetch_thing', { kind: 'x' })).code, 'PERMISSION_DENIED')
  await using permitted = await createTestProject({ authorize: recording().authorize })
  await permitted.item('tools/fetch_thing.yaml', FETCH)
  assert.match(errorOf(await permitted.execute('fetch_thing', { kind: 'x' })).message, /BASE is not set/)
})

const watch = (destinations: string): string =>
  tool(
    'watch',
    'http_client',
    `parameters: [{ name: name, type: string, required: true }]\nconfig: { mode: stream, url: "\${BASE}/", stream: { destinations: ${destinations} } }\n`,
  )

test('only a sink that the caller shaped is asked for, as a call of its tool', async () => {
  const { authorize, asked } = recording()
  await using project = await createTestProject({ authorize, primitives: keepingPrimitive().primitives })
  project.env.set('BASE', 'http://example.com').set('FOLDER', 'logs')
  await project.item(
    'tools/watch.yaml',
    watch(
      '[{ type: file, path: fixed.jsonl }, { type: file, path: "${FOLDER}/x" }, { type: return }, { type: file, path: "out/{name}", format: raw }]',
    ),
  )
  valueOf(await project.execute('watch', { name: 'n' }))
  const [leaf, , sink, ...others] = asked
  assert.deepEqual(
    [sink?.itemId, sink?.category, sink?.requires, sink?.parameters, others],
    ['file_sink', 'sinks', [{ cap: 'fs.write', scope: { path: '{path}' } }], { path: 'out/n', format: 'raw' }, []],
  )
  assert.deepEqual(leaf?.chainRequires, ['net.http', { cap: 'fs.write', scope: { path: '{path}' } }])
})

test('a sink that the caller names is asked for even when it requires nothing', async () => {
  const { authorize, asked } = recording()
  await using project = await createTestProject({ authorize, primitives: keepingPrimitive().primitives })
  project.env.set('BASE', 'http://example.com')
  await project.item('tools/watch.yaml', watch('[{ type: "{name}" }]'))
  valueOf(await project.execute('watch', { name: 'null_sink' }))
  assert.deepEqual([asked.at(-1)?.itemId, asked.at(-1)?.requires], ['null_sink', []])
})

test('a sink of a primitive called directly is asked for by the path that it will really open', async () => {
  const { authorize, asked } = recording(refusing('fs.write'))
  await using server = await createTestServer((_, response) => response.end())
  await using project = await createTestProject({ authorize })
  const stream = { destinations: [{ type: 'file_sink', path: 'allowed/x', config: { path: 'secret/x' } }] }
  const error = errorOf(await project.execute('http_client', { url: server.url, mode: 'stream', stream }))
  assert.deepEqual([error.code, asked.at(-1)?.parameters], ['PERMISSION_DENIED', { path: 'secret/x' }])
  assert.deepEqual(
    [server.requests.length, existsSync(join(project.root, 'secret')), existsSync(join(project.root, 'allowed'))],
    [0, false, false],
  )
})

test('the primitive gets the grant of the answer, and never one that the caller brings', async () => {
  const forged = { ...GRANT, id: 'forged' }
  const kept = keepingPrimitive()
  const answers: Awaited<ReturnType<Authorize>>[] = [{ permitted: true, grant: GRANT }, { permitted: true }]
  const { authorize, asked } = recording(() => answers.shift() ?? { permitted: false, missing: [], suggestion: '' })
  await using project = await createTestProject({ authorize, primitives: kept.primitives })
  for (let round = 0; round < 2; round += 1)
    await project.kernel.execute(
      { item_type: 'tool', item_id: 'http_client', parameters: { url: 'http://example.com/' } },
      { __grant: forged },
    )
  assert.deepEqual(
    kept.calls.map(({ context }) => context.__grant),
    [GRANT, undefined],
  )
  assert.deepEqual(
    asked.map(({ context }) => '__grant' in context),
    [false, false],
  )
})

test('a caller shown what a process ran in is shown it on success and on failure', async () => {
  const shown: unknown[] = []
  for (const error of [null, { code: 'PROCESS_FAILED', message: 'no', retryable: false }]) {
    const { primitives } = keepingPrimitive({ value: 'v', error, sandbox: 'none' })
    await using project = await createTestProject({ primitives })
    const result = await project.execute('http_client', { url: 'http://example.com/' })
    shown.push([result.success, (result as { sandbox?: unknown }).sandbox])
  }
  assert.deepEqual(shown, [
    [true, 'none'],
    [false, 'none'],
  ])
})

const SERVICE = tool(
  'service',
  'http_client',
  [
    'requires: [mcp.connect, { cap: db.query, scope: { id: fixed } }]',
    'parameters: [{ name: server, type: string, required: true }, { name: note, type: string }]',
    'config: { url: "${BASE}/", method: GET, rpc: { protocol: mcp, server: "{server}", note: "{note}" } }\n',
  ].join('\n'),
)

/** What the links behind the leaf asked for, with what. */
const inheritedQuestions = (asked: readonly Question[]): readonly unknown[] =>
  asked
    .filter(({ requires }) => requires.some((one) => one === 'mcp.connect'))
    .map(({ itemId, parameters }) => [itemId, parameters['server'], parameters['note']])

test('an executor is asked for with the values that its templates came to, not with what a caller calls by the same name', async () => {
  const { authorize, asked } = recording()
  await using project = await createTestProject({ authorize, primitives: keepingPrimitive().primitives })
  project.env.set('BASE', 'http://example.com')
  await project.item('tools/service.yaml', SERVICE)
  await project.item(
    'tools/leaf.yaml',
    tool(
      'leaf',
      'service',
      'requires: [mcp.connect]\nparameters: [{ name: server, type: string, required: true }]\nconfig: { rpc: { server: memory, note: null } }\n',
    ),
  )
  valueOf(await project.execute('leaf', { server: 'other' }))
  assert.deepEqual(inheritedQuestions(asked), [
    ['leaf', 'other', undefined],
    ['leaf', 'memory', null],
  ])
  assert.deepEqual(asked[0]?.requires, ['mcp.connect', { cap: 'db.query', scope: { id: 'fixed' } }])
})

test('an executor whose value is passed through is asked for with what the caller gave', async () => {
  const { authorize, asked } = recording()
  await using project = await createTestProject({ authorize, primitives: keepingPrimitive().primitives })
  project.env.set('BASE', 'http://example.com')
  await project.item('tools/service.yaml', SERVICE)
  await project.item('tools/leaf.yaml', tool('leaf', 'service', ''))
  valueOf(await project.execute('leaf', { server: 'memory' }))
  assert.deepEqual(inheritedQuestions(asked), [['leaf', 'memory', undefined]])
})

test('what an executor requires is refused when only the value of its tool file lacks it', async () => {
  const { authorize } = recording(({ requires, parameters }) =>
    requires.includes('mcp.connect') && parameters['server'] !== 'other'
      ? { permitted: false, missing: ['mcp.connect'], suggestion: 'Declare it.' }
      : { permitted: true },
  )
  const { primitives, calls } = keepingPrimitive()
  await using project = await createTestProject({ authorize, primitives })
  project.env.set('BASE', 'http://example.com')
  await project.item('tools/service.yaml', SERVICE)
  await project.item(
    'tools/leaf.yaml',
    tool('leaf', 'service', 'parameters: [{ name: server, type: string }]\nconfig: { rpc: { server: memory } }\n'),
  )
  assert.equal(errorOf(await project.execute('leaf', { server: 'other' })).code, 'PERMISSION_DENIED')
  assert.equal(calls.length, 0)
})

const APPROVED = { cap: 'tool.approved', scope: { id: 'fetch_thing' } }

test('an approval is asked for last, when everything else was agreed to', async () => {
  const { authorize, asked } = recording()
  await using project = await createTestProject({ authorize, primitives: keepingPrimitive().primitives })
  project.env.set('BASE', 'http://example.com')
  await project.item('tools/fetch_thing.yaml', `${FETCH}approval: required\n`)
  valueOf(await project.execute('fetch_thing', { kind: 'x' }))
  assert.deepEqual(
    asked.map(({ requires }) => requires),
    [['db.query'], ['net.http'], [APPROVED]],
  )
})

for (const { title, marked } of [
  { title: 'the tool behind it', marked: 'fetch_thing' },
  { title: 'the tool itself', marked: 'outer' },
]) {
  test(`an approval that ${title} wants is asked for by the name of the tool that was called`, async () => {
    const { authorize, asked } = recording()
    await using project = await createTestProject({ authorize, primitives: keepingPrimitive().primitives })
    project.env.set('BASE', 'http://example.com')
    const mark = (id: string): string => (marked === id ? 'approval: required\n' : '')
    await project.item('tools/fetch_thing.yaml', FETCH + mark('fetch_thing'))
    await project.item('tools/outer.yaml', tool('outer', 'fetch_thing', `config: { url: "\${BASE}/" }\n${mark('outer')}`))
    valueOf(await project.execute('outer'))
    assert.deepEqual(asked.at(-1)?.requires, [{ cap: 'tool.approved', scope: { id: 'outer' } }])
  })
}

test('a call that is only checked asks for all but the approval, and reaches no primitive', async () => {
  const { authorize, asked } = recording()
  const { primitives, calls } = keepingPrimitive()
  await using project = await createTestProject({ authorize, primitives })
  project.env.set('BASE', 'http://example.com')
  await project.item('tools/fetch_thing.yaml', `${FETCH}approval: required\n`)
  const request = { item_type: 'tool', item_id: 'fetch_thing', parameters: { kind: 'x' } } as const
  const checked = await project.kernel.execute(request, { __check_only: true })
  assert.deepEqual([checked.success, asked.length, calls.length], [true, 2, 0])
  const wrong = await project.kernel.execute({ ...request, parameters: {} }, { __check_only: true })
  assert.equal(errorOf(wrong).code, 'PARAMETER_VALIDATION_ERROR')
})

test('any other mark than required makes a tool unavailable', async () => {
  await using project = await createTestProject({ primitives: keepingPrimitive().primitives })
  await project.write('.ai/tools/fetch_thing.yaml', `${FETCH}approval: sometimes\n`)
  assert.equal(errorOf(await project.execute('fetch_thing', { kind: 'x' })).code, 'ITEM_UNAVAILABLE')
})
