import assert from 'node:assert/strict'
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { JsonObject } from '../../../src/json.ts'
import type { RpcOutcome } from '../../../src/primitives/json-rpc/contract.ts'
import { createJsonRpcOverStdio } from '../../../src/primitives/json-rpc/over-stdio.ts'
import type { Grant, SandboxMode } from '../../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { createProcessOpener } from '../../../src/primitives/subprocess/open-process.ts'
import { processesWith, within } from '../sandbox/sandboxed.ts'

const env = (name: string): string | undefined => process.env[name]
const protocols = {
  none: createJsonRpcOverStdio(createProcessOpener({ sandbox: createSandbox({ mode: 'none' }), env })),
  bubblewrap: createJsonRpcOverStdio(createProcessOpener({ sandbox: createSandbox({ mode: 'bubblewrap' }), env })),
}
const SERVICE = join(import.meta.dirname, 'stdio-service.ts')
/** Of a thread that was granted nothing. */
const THREAD: Grant = { id: 'g', threadId: 't', read: [], write: [], network: { kind: 'none' }, isLive: () => true }
let project = ''

before(async () => {
  project = await realpath(await mkdtemp(join(tmpdir(), 'kiwi-rpc-')))
  await mkdir(join(project, 'servers'))
  await writeFile(join(project, 'servers', 'fixed.sh'), `echo '{"jsonrpc":"2.0","id":1,"result":"from the program"}'\n`)
})
after(async () => await rm(project, { recursive: true, force: true }))

interface Ask {
  readonly config?: JsonObject
  readonly mode?: SandboxMode
  readonly signal?: AbortSignal
  readonly grant?: Grant
}

/** The service of the specification's examples. */
async function ask(rpc: JsonObject, { config, mode = 'none', signal, grant }: Ask = {}): Promise<RpcOutcome> {
  return await protocols[mode].call({
    config: { command: process.execPath, args: [SERVICE], ...config, rpc: { protocol: 'json_rpc', ...rpc } },
    parameters: {},
    leaf: { id: 'test', description: '', inputSchema: null },
    context: {
      projectPath: project,
      ...(signal === undefined ? {} : { signal }),
      ...(grant === undefined ? {} : { __grant: grant }),
    },
  })
}

/** A process that says what the script says; in the sandbox, as for anybody. */
async function shell(script: string, rpc: JsonObject = { method: 'x' }, more: Ask = {}): Promise<RpcOutcome> {
  return await ask(rpc, { mode: 'bubblewrap', ...more, config: { command: 'sh', args: ['-c', script], ...more.config } })
}

const ANSWER = `echo '{"jsonrpc":"2.0","id":1,"result":true}'`

test('a call starts the process, is answered and ends it', async () => {
  const outcome = await ask({ method: 'subtract', params: { minuend: 42, subtrahend: 23 } })
  assert.deepEqual(outcome, { value: { id: 1, result: 19 }, error: null, sandbox: 'none' })
})

test('null is a result', async () => {
  assert.deepEqual((await ask({ method: 'nothing', id: 'mine' })).value, { id: 'mine', result: null })
})

test('a batch is one line, and its answers come back by id', async () => {
  const { value, error } = await ask({
    batch: [{ method: 'sum', params: [1, 2] }, { method: 'hello', notification: true }, { method: 'get_data' }],
  })
  assert.equal(error, null)
  assert.deepEqual(value, {
    answers: [
      { id: 1, method: 'sum', result: 3 },
      { id: 2, method: 'get_data', result: ['hello', 5] },
    ],
  })
})

test('answers of a batch may come one by one in any order', async () => {
  const script = `echo '{"jsonrpc":"2.0","id":2,"result":"b"}'; echo '{"jsonrpc":"2.0","id":1,"result":"a"}'; cat > /dev/null`
  const { value } = await shell(script, { batch: [{ method: 'x' }, { method: 'y' }] })
  assert.deepEqual(value, {
    answers: [
      { id: 1, method: 'x', result: 'a' },
      { id: 2, method: 'y', result: 'b' },
    ],
  })
})

test('a notification is written and nothing is waited for', async () => {
  const { value, error } = await shell('read -r line; echo "$line" >&2; cat > /dev/null', {
    method: 'update',
    notification: true,
  })
  assert.deepEqual([value, error], [{ sent: 1 }, null])
})

test('an error object is JSON_RPC_ERROR with its code, name and data', async () => {
  const { error } = await ask({ method: 'subtract', params: ['a'] })
  assert.deepEqual(error?.detail, { rpc_code: -32602, rpc_name: 'invalid_params', data: { expected: 'numbers' } })
})

test('what the process says unasked stands beside the result, up to a bound', async () => {
  const notice = `{"jsonrpc":"2.0","method":"progress","params":{"at":1}}`
  const { value } = await shell(`for i in $(seq 150); do echo '${notice}'; done; echo; ${ANSWER}`)
  const { notifications, notifications_left_out: leftOut } = value as { notifications: unknown[]; notifications_left_out: number }
  assert.deepEqual([notifications.length, notifications[0], leftOut], [100, { method: 'progress', params: { at: 1 } }, 50])
})

test('what the process requests is refused, and the call goes on', async () => {
  const script = `echo '{"jsonrpc":"2.0","id":"s1","method":"sampling"}'; read -r call; read -r refusal
    echo "{\\"jsonrpc\\":\\"2.0\\",\\"id\\":1,\\"result\\":$refusal}"`
  const { value } = await shell(script)
  assert.deepEqual(value, {
    id: 1,
    result: { jsonrpc: '2.0', id: 's1', error: { code: -32601, message: 'Method not found' } },
  })
})

test('an answer counts however the process ends after it', async () => {
  const { value, error } = await shell(`${ANSWER}; exit 3`)
  assert.deepEqual([value, error], [{ id: 1, result: true }, null])
})

test('a process that ends before it answered is told with its exit code and what it wrote', async () => {
  const { error } = await shell('echo why >&2; exit 3')
  assert.deepEqual([error?.code, error?.detail], ['PROCESS_FAILED', { exit_code: 3, signal: null, stderr: 'why\n' }])
})

test('a batch that was answered in part tells both', async () => {
  const { value, error } = await shell(`${ANSWER}; exit 0`, { batch: [{ method: 'x' }, { method: 'y' }] })
  assert.equal(error?.code, 'PROCESS_FAILED')
  assert.deepEqual(value, {
    answers: [
      { id: 1, method: 'x', result: true },
      { id: 2, method: 'y', missing: true },
    ],
  })
})

test('a command that is not there is told as such, for a notification too', async () => {
  const config = { command: 'no-such-command', args: [] }
  for (const rpc of [{ method: 'x' }, { method: 'x', notification: true }]) {
    const { error } = await shell('', rpc, { config })
    assert.match(error?.message ?? '', /no-such-command could not be started: there is no such command/)
  }
})

test('a process that does not answer is ended by the timeout, with all it started', async () => {
  const mark = `88${Date.now()}`
  const { error } = await shell(`sleep ${mark} & sleep ${mark}`, { method: 'x' }, { config: { timeout_ms: 300 } })
  assert.deepEqual([error?.code, error?.detail?.['timeout_ms']], ['TIMEOUT', 300])
  assert.ok(await within(1_000, async () => (await processesWith(mark)).length === 0))
})

test('a call that is aborted ends its process', async () => {
  const cancel = new AbortController()
  const mark = `89${Date.now()}`
  const calling = shell(`exec sleep ${mark}`, { method: 'x' }, { signal: cancel.signal })
  assert.ok(await within(5_000, async () => (await processesWith(mark)).length > 0))
  cancel.abort()
  assert.equal((await calling).error?.code, 'ABORTED')
  assert.ok(await within(1_000, async () => (await processesWith(mark)).length === 0))
})

const HOSTILE = [
  ['not_json', 'echo banner; cat'],
  ['not_an_object', 'echo 5; cat'],
  ['unknown_id', `echo '{"jsonrpc":"2.0","id":9,"result":1}'; cat`],
  ['unknown_id', `echo '{"jsonrpc":"2.0","id":"1","result":1}'; cat`],
  ['result_and_error', `echo '{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":"x"}}'; cat`],
  ['duplicate_id', `${ANSWER}; ${ANSWER}; cat`],
] as const

for (const [violation, script] of HOSTILE) {
  test(`threat row 34: a process that breaks the protocol is closed and told: ${script}`, async () => {
    // Guard: the answers, which know what was asked and what was answered.
    const { value, error } = await shell(`${script} > /dev/null`)
    assert.deepEqual([value, error?.code, error?.detail?.['violation']], [null, 'INVALID_RESPONSE', violation])
  })
}

test('threat row 34: a line of 100 MB ends the process, not the host', async () => {
  // Guard: the byte cap of the line reader.
  const { error } = await shell('head -c 100000000 /dev/zero | tr "\\0" x')
  assert.deepEqual([error?.code, error?.detail?.['limit']], ['LIMIT_EXCEEDED', 'max_response_bytes'])
})

test('threat row 34: answers are bounded together, not only each', async () => {
  // Guard: the byte count of the talk.
  const batch = [{ method: 'x' }, { method: 'y' }]
  const long = (id: number): string => `echo '{"jsonrpc":"2.0","id":${id},"result":"${'x'.repeat(700)}"}'`
  const { error } = await shell(`${long(1)}; ${long(2)}; cat > /dev/null`, { batch, max_response_bytes: 1_000 })
  assert.equal(error?.code, 'LIMIT_EXCEEDED')
})

test('threat row 34: an answer of four million nested brackets is not parsed', async () => {
  // Guard: the bounds of `parseRpcText`. Without them the host writes the value out for half a minute.
  const brackets = (which: string): string => `head -c 4000000 /dev/zero | tr "\\0" "${which}"`
  const { value, error } = await shell(
    `printf '{"jsonrpc":"2.0","id":1,"result":'; ${brackets('[')}; ${brackets(']')}; echo '}'; cat > /dev/null`,
  )
  assert.deepEqual([value, error?.code, error?.detail?.['violation']], [null, 'INVALID_RESPONSE', 'too_complex'])
})

test('threat row 34: a process that sends long notifications without end is ended', async () => {
  // Guard: the byte count of what is no answer.
  const params = `'{"jsonrpc":"2.0","method":"n","params":["'; head -c 4000000 /dev/zero | tr "\\0" x; echo '"]}'`
  const { error } = await shell(`while printf ${params}; do :; done`)
  assert.deepEqual([error?.code, error?.detail?.['limit']], ['LIMIT_EXCEEDED', 'talk_bytes'])
})

test('threat row 34: a process that floods with requests and never reads is ended', async () => {
  // Guard: the bound on refusals, and on lines in a second.
  const { error } = await shell(
    `yes '{"jsonrpc":"2.0","id":1,"method":"sampling"}'`,
    { method: 'x' },
    { config: { timeout_ms: 5_000 } },
  )
  assert.equal(error?.code, 'LIMIT_EXCEEDED')
})

test('the files of a program are shown to a thread that was granted nothing', async () => {
  const rpc = { method: 'x', program: ['servers'] }
  const { value } = await shell('', rpc, { grant: THREAD, config: { args: ['servers/fixed.sh'] } })
  assert.deepEqual(value, { id: 1, result: 'from the program' })
})

const WRONG: readonly (readonly [RegExp, JsonObject, JsonObject])[] = [
  [/`stdin` is made from `rpc`/, { method: 'x' }, { stdin: 'x' }],
  [/`rpc\.program` to be a list of texts/, { method: 'x', program: 'node_modules' }, {}],
  [/`program`: The path "\.\.\/x" is refused/, { method: 'x', program: ['../x'] }, {}],
  [/`rpc\.max_response_bytes` to be a positive integer/, { method: 'x', max_response_bytes: 0 }, {}],
  [/`command` to be text/, { method: 'x' }, { command: 5 }],
]

for (const [message, rpc, config] of WRONG) {
  test(`what cannot be started is told by its field: ${String(message)}`, async () => {
    const { error } = await shell('true', rpc, { config })
    assert.equal(error?.code, 'CONFIG_VALIDATION_ERROR')
    assert.match(error?.message ?? '', message)
  })
}
