import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../../src/json.ts'
import type { Primitive } from '../../../src/kernel/chain/primitive.ts'
import type { AttachedSink } from '../../../src/primitives/http-client/contract.ts'
import { createHttpPrimitive } from '../../../src/primitives/http-client/http-client.ts'
import type { RpcProtocol } from '../../../src/primitives/json-rpc/contract.ts'
import { type CarrierCall, type ProtocolCarrier, withProtocols } from '../../../src/primitives/json-rpc/rpc-primitive.ts'
import type { Grant } from '../../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { createSubprocessPrimitive } from '../../../src/primitives/subprocess/subprocess.ts'

const bare: ProtocolCarrier = { id: 'subprocess', execute: async () => ({ value: 'bare', error: null }) }
const echo: RpcProtocol = { name: 'echo', call: async ({ config }) => ({ value: config['rpc'], error: null }) }
const broken: RpcProtocol = { name: 'broken', call: async () => await Promise.reject(new Error('broken')) }
const primitive = withProtocols(bare, [echo, broken])

const THREAD: Grant = { id: 'g', threadId: 't', read: [], write: [], network: { kind: 'none' }, isLive: () => true }

interface Ask {
  readonly parameters?: JsonObject
  readonly leaf?: string
  readonly grant?: Grant
  readonly sinks?: readonly AttachedSink[]
}

function call(config: JsonObject, { parameters = {}, leaf = 'tool', grant, sinks = [] }: Ask = {}): CarrierCall {
  return {
    config,
    parameters,
    leaf: { id: leaf, description: '', inputSchema: null },
    context: { projectPath: '/', ...(grant === undefined ? {} : { __grant: grant }) },
    sinks,
  }
}

function countingSink(): { readonly attached: AttachedSink; readonly closes: () => number } {
  let closes = 0
  const close = async (): Promise<void> => {
    closes += 1
    await Promise.resolve()
  }
  return { attached: { sink: { write: () => undefined, close }, type: 'test', onError: 'drop' }, closes: () => closes }
}

test('a call without a protocol goes to the primitive', async () => {
  assert.equal((await primitive.execute(call({ command: 'x' }))).value, 'bare')
  assert.equal((await primitive.execute(call({ command: 'x', rpc: null }))).value, 'bare')
})

test('a call that names a protocol goes to it', async () => {
  assert.deepEqual((await primitive.execute(call({ rpc: { protocol: 'echo' } }))).value, { protocol: 'echo' })
})

for (const rpc of [{ protocol: 'soap' }, {}, 'echo', ['echo'], { protocol: 5 }]) {
  test(`a protocol that nobody speaks is refused with those that are there: ${JSON.stringify(rpc)}`, async () => {
    const { error } = await primitive.execute(call({ rpc }))
    assert.deepEqual(
      [error?.code, /one of echo, broken over subprocess/.test(error?.message ?? '')],
      ['CONFIG_VALIDATION_ERROR', true],
    )
  })
}

for (const protocol of ['echo', 'soap', 'broken']) {
  test(`the sinks of a call are closed exactly once: ${protocol}`, async () => {
    const [one, other] = [countingSink(), countingSink()]
    const sinks = [one.attached, other.attached]
    await primitive.execute(call({ rpc: { protocol } }, { sinks })).catch(() => undefined)
    assert.deepEqual([one.closes(), other.closes()], [1, 1])
  })
}

test('a sink that cannot be closed keeps neither the answer nor the other sinks', async () => {
  const other = countingSink()
  const failing = {
    ...other.attached,
    sink: { write: () => undefined, close: async () => await Promise.reject(new Error('no')) },
  }
  const { value } = await primitive.execute(call({ rpc: { protocol: 'echo' } }, { sinks: [failing, other.attached] }))
  assert.deepEqual([value, other.closes()], [{ protocol: 'echo' }, 1])
})

test('threat row 34: a thread that calls a primitive itself cannot say `rpc`', async () => {
  // Guard: saidByThread.
  const rpc = { protocol: 'echo', program: ['secrets'] }
  const { error } = await primitive.execute(call({ rpc }, { parameters: { rpc }, leaf: 'subprocess', grant: THREAD }))
  assert.deepEqual(
    [error?.code, error?.message.startsWith('A thread cannot say `rpc` itself')],
    ['CONFIG_VALIDATION_ERROR', true],
  )
})

test('threat row 34: no parameter of a thread is passed on as what a program consists of', async () => {
  // Guard: saidByThread.
  const program = ['secrets']
  const { error } = await primitive.execute(
    call({ rpc: { protocol: 'echo', program } }, { parameters: { program }, grant: THREAD }),
  )
  assert.equal(error?.code, 'CONFIG_VALIDATION_ERROR')
})

test('the operator says `rpc` as they like, and a thread calls a tool with a parameter of that name', async () => {
  const rpc = { protocol: 'echo' }
  const operator = await primitive.execute(
    call({ rpc }, { parameters: { rpc }, leaf: 'subprocess', grant: { ...THREAD, threadId: null } }),
  )
  const thread = await primitive.execute(call({ rpc }, { parameters: { rpc: 'an argument' }, grant: THREAD }))
  assert.deepEqual([operator.error, thread.error], [null, null])
})

test('primitives of the kernel fit, before and after', () => {
  const sandbox = createSandbox({ mode: 'none' })
  const http = createHttpPrimitive()
  const both: readonly Primitive[] = [
    withProtocols(http, [echo]),
    withProtocols(createSubprocessPrimitive({ sandbox, env: () => undefined }), [echo]),
  ]
  http.close()
  assert.deepEqual(
    both.map(({ id }) => id),
    ['http_client', 'subprocess'],
  )
})
