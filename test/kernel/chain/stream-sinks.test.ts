import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Authorize } from '../../../src/kernel/contract.ts'
import type { AttachedSink } from '../../../src/primitives/http-client/contract.ts'
import { createTestProject, createTestServer, errorOf, type TestProject, valueOf } from '../project.ts'

function streamTool(destinations: string): string {
  return `tool_id: watch
tool_type: http
version: 1.0.0
executor_id: http_client
description: x
parameters:
  - { name: thread_id, type: string, required: true }
config:
  mode: stream
  url: "\${BASE}/events"
  stream:
    destinations: ${destinations}
`
}

const SINK = (body: string): string => `export const __tool_type__ = 'sink'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __description__ = 'x'
${body}
`

function events(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {"n":1}\n\ndata: {"n":2}\n\n')
}

/** An in-process sink that counts what happens to it. */
function countingSink(): AttachedSink & { readonly seen: string[]; closed: number } {
  const attached = {
    type: 'counting',
    onError: 'fail' as const,
    seen: [] as string[],
    closed: 0,
    sink: {
      write: ({ data }: { data: string }) => void attached.seen.push(data),
      close: async () => void (attached.closed += 1),
    },
  }
  return attached
}

async function watch(
  project: TestProject,
  threadId: string,
  sinks: readonly AttachedSink[] = [],
): ReturnType<TestProject['execute']> {
  return await project.kernel.execute(
    { item_type: 'tool', item_id: 'watch', parameters: { thread_id: threadId } },
    { __sinks: sinks },
  )
}

test('a stream goes to the file of its thread, to the result and to the sink of the caller', async () => {
  await using server = await createTestServer((_, response) => events(response))
  await using project = await createTestProject()
  project.env.set('BASE', server.url)
  await project.item('tools/watch.yaml', streamTool('[{ type: file, path: "out/{thread_id}/stream.jsonl" }, { type: return }]'))
  const mine = countingSink()
  const value = valueOf(await watch(project, 'thread_1', [mine]))
  assert.equal(await readFile(join(project.root, 'out/thread_1/stream.jsonl'), 'utf8'), '{"n":1}\n{"n":2}\n')
  assert.equal((value as { body: unknown[] }).body.length, 2)
  assert.deepEqual([mine.seen, mine.closed], [['{"n":1}', '{"n":2}'], 1])
})

for (const [policy, success] of [
  ['drop', true],
  ['retry', true],
  ['fail', false],
] as const) {
  test(`a sink that the system does not let open ${success ? 'loses its events' : 'fails the call'} under on_error: ${policy}`, async () => {
    await using server = await createTestServer((_, response) => events(response))
    await using project = await createTestProject()
    project.env.set('BASE', server.url)
    // More bytes than a name can have on any file system.
    const path = 'é'.repeat(200)
    await project.item('tools/watch.yaml', streamTool(`[{ type: file_sink, path: ${path}, on_error: ${policy} }]`))
    const mine = countingSink()
    const answer = await watch(project, 't', [mine])
    assert.deepEqual([answer.success, mine.seen.length, mine.closed], [success, success ? 2 : 0, 1])
    if (!success) return
    const [report] = (valueOf(answer) as { stream_destinations: { lost: number; error: string }[] }).stream_destinations
    assert.equal(report?.lost, 2)
    assert.match(report.error, /ENAMETOOLONG/)
  })
}

/** Lets sinks of the project write below `out`, so that a test can see what they did. */
const WRITES_OUT: Authorize = async () => ({
  permitted: true,
  grant: {
    id: 'out',
    threadId: null,
    read: [],
    write: [{ kind: 'tree', base: ['out'] }],
    network: { kind: 'open' },
    isLive: () => true,
  },
})

const NOTING_SINK = SINK(`import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
export default async (options: any, { projectPath }: any) => ({
  write: (event: any) => appendFileSync(join(projectPath, 'out/noted'), JSON.stringify([options, event.data]) + '\\n'),
  close: async () => appendFileSync(join(projectPath, 'out/noted'), 'closed\\n'),
})`)

test('a sink file of the project is made with its options when it is signed, and refused when it is not', async () => {
  await using server = await createTestServer((_, response) => events(response))
  await using project = await createTestProject({ authorize: WRITES_OUT })
  project.env.set('BASE', server.url)
  await mkdir(join(project.root, 'out'))
  await project.item('tools/watch.yaml', streamTool('[{ type: noting_sink, format: raw, config: { tag: t } }]'))
  await project.write('.ai/tools/noting_sink.ts', NOTING_SINK)
  const refused = errorOf(await watch(project, 't'))
  assert.deepEqual(
    [refused.code, refused.cause?.code, refused.failed_at?.config_path],
    ['TOOL_CHAIN_FAILED', 'ITEM_UNSIGNED', 'config.stream.destinations[0]'],
  )
  await project.item('tools/noting_sink.ts', NOTING_SINK)
  valueOf(await watch(project, 't'))
  const [first = '', , last] = (await readFile(join(project.root, 'out/noted'), 'utf8')).split('\n')
  assert.deepEqual([JSON.parse(first), last], [[{ format: 'raw', tag: 't' }, '{"n":1}'], 'closed'])
})

test('sinks that were made are closed when a later one cannot be, and so is the sink of the caller', async () => {
  await using project = await createTestProject({ authorize: WRITES_OUT })
  project.env.set('BASE', 'http://127.0.0.1:1')
  await mkdir(join(project.root, 'out'))
  await project.item('tools/first_sink.ts', NOTING_SINK)
  await project.item('tools/second_sink.ts', SINK("export default async () => { throw new Error('no room') }"))
  await project.item('tools/watch.yaml', streamTool('[{ type: first_sink }, { type: second_sink }]'))
  const mine = countingSink()
  const error = errorOf(await watch(project, 't', [mine]))
  assert.match(error.message, /destinations\[1\]: .*no room/)
  assert.deepEqual([await readFile(join(project.root, 'out/noted'), 'utf8'), mine.closed], ['closed\n', 1])
})

test('the sink of the caller is closed when the parameters do not fit', async () => {
  await using project = await createTestProject()
  await project.item('tools/watch.yaml', streamTool('[]'))
  const mine = countingSink()
  await project.kernel.execute({ item_type: 'tool', item_id: 'watch', parameters: { thread_id: 5 } }, { __sinks: [mine] })
  assert.equal(mine.closed, 1)
})

test('the sink of the caller is closed when the request itself is refused', async () => {
  await using project = await createTestProject()
  const mine = countingSink()
  await project.kernel.execute({ item_type: 'tool', item_id: 'watch', action: 'walk' }, { __sinks: [mine] })
  assert.equal(mine.closed, 1)
})

test('a sink is not executed', async () => {
  await using project = await createTestProject()
  const error = errorOf(await project.execute('file_sink', { path: 'x.jsonl' }))
  assert.equal(error.code, 'INVALID_REQUEST')
  assert.equal(existsSync(join(project.root, 'x.jsonl')), false)
})

test('a tool that is no sink cannot be a destination', async () => {
  await using project = await createTestProject()
  project.env.set('BASE', 'http://127.0.0.1:1')
  await project.item('tools/watch.yaml', streamTool('[{ type: read_file }]'))
  assert.match(errorOf(await watch(project, 't')).message, /"read_file" is no sink/)
})

// Fails without `SINK_VALUE` in template.ts.
for (const threadId of [
  '../../x',
  '..%2f',
  '%252e%252e',
  '\u00c0\u00ae',
  '..\\x',
  'a/b',
  '..',
  '%2e%2e%2f',
  'a\u0000',
  'C:x',
  '',
]) {
  test(`threat row 35: the thread id ${JSON.stringify(threadId)} makes no sink path and sends nothing`, async () => {
    await using server = await createTestServer((_, response) => events(response))
    await using project = await createTestProject()
    project.env.set('BASE', server.url)
    await project.item('tools/watch.yaml', streamTool('[{ type: file, path: "out/{thread_id}/stream.jsonl" }]'))
    const error = errorOf(await watch(project, threadId))
    assert.deepEqual([error.code, error.failed_at?.config_path], ['TOOL_CHAIN_FAILED', 'config.stream.destinations[0].path'])
    assert.deepEqual([server.requests.length, existsSync(join(project.root, 'out'))], [0, false])
  })
}

test('the shipped Anthropic thread tool streams through its whole chain', async () => {
  await using server = await createTestServer((_, response) => events(response))
  await using project = await createTestProject()
  project.env.set('ANTHROPIC_BASE_URL', server.url).set('ANTHROPIC_API_KEY', 'key')
  const messages = [{ role: 'user', content: 'hi' }]
  const mine = countingSink()
  const result = await project.kernel.execute(
    { item_type: 'tool', item_id: 'anthropic_thread', parameters: { thread_id: 't1', model: 'm', messages } },
    { __sinks: [mine] },
  )
  assert.equal(mine.seen.length, 2, JSON.stringify(result))
  const [request] = server.requests
  assert.deepEqual([request?.url, request?.headers['x-api-key']], ['/v1/messages', 'key'])
  assert.deepEqual(JSON.parse(request?.body ?? ''), { model: 'm', max_tokens: 4096, messages, stream: true })
})
