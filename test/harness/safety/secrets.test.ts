import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createRedactor } from '../../../src/capabilities/secrets/redactor.ts'
import { redactedSink, safeLog } from '../../../src/harness/safety/redaction.ts'
import type { JsonObject } from '../../../src/json.ts'
import type { StreamEvent } from '../../../src/primitives/http-client/contract.ts'
import { directive, executes, openWorkshop, says, USAGE } from './workshop.ts'

const CANARY = 'sk-canary/Q7+f"x9 zé=4412-never'
const HEADER_CANARY = 'hdr-9c0ffee1dea5.abcDEF_42'
const FORMS = [CANARY, HEADER_CANARY].flatMap((canary) => [
  canary,
  JSON.stringify(canary).slice(1, -1),
  JSON.stringify(JSON.stringify(canary)).slice(3, -3),
  encodeURIComponent(canary),
  ...[0, 1, 2].map((offset) => base64Core(canary, offset)),
  // Twelve characters would be enough to find the secret in a log.
  canary.slice(0, 12),
  canary.slice(-12),
])

function base64Core(text: string, offset: number): string {
  return Buffer.concat([Buffer.alloc(offset), Buffer.from(text)])
    .toString('base64')
    .slice(4, -4)
}

/** The first form that stands in a text, as it is or in what a reader of the pieces gets who joins them. */
function found(text: string): string | null {
  return FORMS.find((form) => text.includes(form)) ?? null
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

const NETWORK =
  '<execute resource="kiwi-mcp" action="*"/><execute resource="tool" id="*"/><read resource="filesystem" path="**"/>'

/** An endpoint that answers every request with its header, and remembers what it was sent. */
async function startEndpoint(t: TestContext): Promise<{ readonly port: number; readonly received: string[] }> {
  const received: string[] = []
  const server = createServer((request, response) => {
    received.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`)
    const status = request.url?.startsWith('/fail') === true ? 500 : 200
    response.writeHead(status, { 'content-type': 'text/plain' })
    response.end(`you sent ${String(request.headers['x-auth'])} and ${CANARY}\n    at secretStack (${CANARY}:1:1)`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  // A listening TCP server has an address of this kind.
  return { port: (server.address() as AddressInfo).port, received }
}

function endpointTool(id: string, port: number, path: string): string {
  return [
    `tool_id: ${id}`,
    'tool_type: http',
    'version: "1.0.0"',
    'executor_id: http_client',
    'effect: pure',
    'description: Asks the endpoint of the tests.',
    'parameters:',
    '  - { name: q, type: string, required: true, description: What to ask. }',
    'config:',
    '  mode: sync',
    '  method: GET',
    `  url: "http://127.0.0.1:${port}${path}?q={q}"`,
    '  headers: { x-auth: "${CANARY_HEADER}" }',
    '',
  ].join('\n')
}

// Fails without `redactedRunner` in the harness (registry, transcript, live bus, model), without `sinkWrapOf` in the model caller (stream.jsonl), and
// without the redaction in `requestOf` and `sendSignal` (start and signal rows).
test('threat row 7: a secret in environment, header, tool output, error, message and answer is in no file, no request and no live message', async (t) => {
  const endpoint = await startEndpoint(t)
  const asked: string[] = []
  const echo = [
    `plain ${CANARY}`,
    `base64 ${Buffer.from(CANARY).toString('base64')} ${Buffer.from(`u:${CANARY}`).toString('base64')}`,
    `url ${encodeURIComponent(CANARY)}`,
    `json ${JSON.stringify({ key: CANARY, header: HEADER_CANARY })}`,
  ].join('\n')
  const workshop = await openWorkshop(t, {
    onDisk: true,
    secrets: { CANARY_VALUE: CANARY },
    env: { CANARY_HEADER: HEADER_CANARY },
    files: {
      '.ai/tools/ask.yaml': endpointTool('ask', endpoint.port, '/ok'),
      '.ai/tools/fail.yaml': endpointTool('fail', endpoint.port, '/fail'),
    },
    directives: {
      leak: directive('leak', undefined, '', `${NETWORK}<execute resource="net" host="127.0.0.1:${endpoint.port}"/>`),
    },
    scenario: (_conversation, { body }) => {
      asked.push(JSON.stringify(body))
      if (asked.length === 1) return executes(['ask', { q: 'one' }], ['fail', { q: 'two' }])
      if (asked.length === 2)
        return {
          reply: {
            text: 'I wait for a word.',
            tool_calls: [{ name: 'help', arguments: { action: 'escalate', reason: 'tell me more' } }],
            usage: USAGE,
          },
        }
      // Pieces of seven characters: every form is split over several deltas.
      return { reply: { reasoning: `thinking of ${CANARY}`, text: echo, piece_chars: 7, usage: USAGE } }
    },
  })
  for (const id of ['ask', 'fail']) assert.equal((await workshop.kernel.sign({ item_type: 'tool', item_id: id })).success, true)
  const live: JsonObject[] = []
  const id = await workshop.spawn('leak', { initial_message: `use ${CANARY}`, inputs: {} })
  t.after(workshop.bus.subscribe(id, (message) => void live.push(message)))
  await workshop.until(id, 'waiting')
  await workshop.call('resume_thread', { thread_id: id, inject_message: `once more: ${CANARY} ${HEADER_CANARY}` })
  const row = await workshop.until(id, 'completed')

  assert.equal(endpoint.received.length, 2, 'both tools were really called')
  assert.ok(
    endpoint.received.every((request) => request.includes(HEADER_CANARY)),
    'the header itself goes where it belongs',
  )
  assert.match(JSON.stringify(row.result), /plain \[secret:CANARY_VALUE\]/)
  assert.equal(found(JSON.stringify(row)), null)
  assert.equal(asked.length, 3)
  for (const request of asked) assert.equal(found(request), null, request)
  assert.match(asked[2] ?? '', /once more: \[secret:CANARY_VALUE\] \[secret:CANARY_HEADER\]/)

  const texts = live.filter(({ type }) => type === 'text').map(({ text }) => (typeof text === 'string' ? text : ''))
  assert.match(texts.join(''), /plain \[secret:CANARY_VALUE\]/)
  assert.equal(found(texts.join('')), null)
  assert.equal(found(JSON.stringify(live)), null)

  const files = filesBelow(workshop.projectPath)
  for (const name of ['registry.db', 'registry.db-wal', 'transcript.jsonl', 'stream.jsonl'])
    assert.ok(
      files.some((file) => file.endsWith(name)),
      `${name} is among the files`,
    )
  for (const file of files) assert.equal(found(readFileSync(file, 'utf8')), null, file)
  const stream = readFileSync(files.find((file) => file.endsWith('stream.jsonl')) ?? '', 'utf8')
  assert.equal(found(joinedDeltas(stream)), null)
  assert.match(joinedDeltas(stream), /plain \[secret:CANARY_VALUE\]/)
})

/** The text that a reader of the raw stream gets. */
function joinedDeltas(stream: string): string {
  return [...stream.matchAll(/"text":("(?:[^"\\]|\\.)*")/g)].map(([, text]) => String(JSON.parse(text ?? '""'))).join('')
}

// Fails without `secretInParameters` in `runToolSteps`: the mark would be sent instead, and the call would run.
test('threat row 2: a call that carries a secret in its query is not run, in whatever form, and the model is told why', async (t) => {
  const endpoint = await startEndpoint(t)
  let turns = 0
  const workshop = await openWorkshop(t, {
    secrets: { CANARY_VALUE: CANARY },
    env: { CANARY_HEADER: HEADER_CANARY },
    files: { '.ai/tools/ask.yaml': endpointTool('ask', endpoint.port, '/ok') },
    directives: {
      leak: directive('leak', undefined, '', `${NETWORK}<execute resource="net" host="127.0.0.1:${endpoint.port}"/>`),
    },
    scenario: () => {
      turns += 1
      if (turns > 1) return says('I could not send it.')
      return executes(
        ['ask', { q: CANARY }],
        ['ask', { q: Buffer.from(`x${CANARY}`).toString('base64') }],
        ['ask', { q: encodeURIComponent(CANARY) }],
        ['ask', { q: 'harmless' }],
      )
    },
  })
  assert.equal((await workshop.kernel.sign({ item_type: 'tool', item_id: 'ask' })).success, true)
  const row = await workshop.run('leak')
  assert.equal(row.status, 'completed')
  assert.equal(endpoint.received.length, 1)
  assert.match(endpoint.received[0] ?? '', /q=harmless/)
  const results = workshop.results(row.thread_id)
  assert.equal(results.filter((text) => text.includes('"SECRET_IN_PARAMETERS"') && text.includes('CANARY_VALUE')).length, 3)
  assert.deepEqual(
    workshop.events(row.thread_id, 'secret_blocked').map(({ payload }) => payload),
    Array.from({ length: 3 }, () => ({ tool: 'ask', name: 'CANARY_VALUE' })),
  )
})

test('an answer without secrets is stored byte for byte, provider blocks included', async (t) => {
  const workshop = await openWorkshop(t, {
    secrets: { CANARY_VALUE: CANARY },
    directives: { quiet: directive('quiet') },
    scenario: () => ({ reply: { reasoning: 'a % of "it" \\u0041', text: 'done 100%', usage: USAGE } }),
  })
  const row = await workshop.run('quiet')
  const answer = workshop.threads.messages(row.thread_id).find(({ role }) => role === 'assistant')
  assert.match(JSON.stringify(answer?.content), /"signature":"/)
  assert.deepEqual(row.result, { text: 'done 100%' })
})

test('a wrapped sink gets its events in order, waits for slow writes, and is closed after the last one', async () => {
  const redactor = createRedactor([{ name: 'CANARY_VALUE', value: CANARY }])
  const log: string[] = []
  const sink = redactedSink(
    {
      async write({ data }) {
        await Promise.resolve()
        log.push(data)
      },
      close: async () => void log.push('closed'),
    },
    redactor.events<StreamEvent>(),
  )
  for (const text of ['one', CANARY.slice(0, 9), CANARY.slice(9), 'sk-can'])
    await sink.write({ event: 'e', id: '', data: JSON.stringify({ text }) })
  await sink.close()
  assert.deepEqual(log, ['{"text":"one"}', '{"text":"[secret:CANARY_VALUE]"}', '{"text":""}', '{"text":"sk-can"}', 'closed'])
})

test('threat row 33: a log line holds neither secrets nor characters that steer a terminal', () => {
  // Fails without the replacement in `safeLog`.
  const lines: string[] = []
  const log = safeLog(
    (line) => void lines.push(line),
    () => createRedactor([{ name: 'CANARY_VALUE', value: CANARY }]),
  )
  log(`problem: ${CANARY} \u001B]52;c;eA==\u0007 \u202Egnp.exe\nforged line`)
  assert.deepEqual(lines, ['problem: [secret:CANARY_VALUE] \\u001b]52;c;eA==\\u0007 \\u202egnp.exe\\u000aforged line'])
})
