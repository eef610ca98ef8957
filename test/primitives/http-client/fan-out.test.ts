import assert from 'node:assert/strict'
import { test } from 'node:test'
import type {
  AttachedSink,
  Sink,
  SinkFailurePolicy,
  SinkReport,
  StreamEvent,
} from '../../../src/primitives/http-client/contract.ts'
import { createFanOut } from '../../../src/primitives/http-client/fan-out.ts'
import { createHttpClient } from '../../../src/primitives/http-client/http-client.ts'
import { recordingSink, sendEvents, serve, SSE_HEAD } from './loopback.ts'

const event = (data: unknown): StreamEvent => ({ event: 'message', data: String(data), id: '' })
const attach = (sink: Sink, onError: SinkFailurePolicy, maxQueuedEvents = 10_000): AttachedSink => ({
  type: 'under_test',
  sink,
  onError,
  maxQueuedEvents,
})
const pending = (): Promise<void> => new Promise(() => {})

async function run(
  sinks: readonly AttachedSink[],
  count: number,
  closeTimeoutMs = 1000,
): Promise<{ reports: readonly SinkReport[]; broken: string[] }> {
  const broken: string[] = []
  const fanOut = createFanOut(sinks, { closeTimeoutMs, onBroken: () => broken.push(fanOut.broken()?.reason ?? '') })
  for (let index = 0; index < count; index += 1) fanOut.write(event(index))
  return { reports: await fanOut.close(), broken }
}

test('a synchronous sink is written to at once, in order, without a promise', () => {
  const sink = recordingSink()
  const fanOut = createFanOut([sink], { closeTimeoutMs: 1000, onBroken: () => assert.fail('nothing broke') })
  for (const data of [1, 2, 3]) fanOut.write(event(data))
  assert.deepEqual(sink.data(), ['1', '2', '3'])
})

test('an asynchronous sink gets its events one after the other and all before its close', async () => {
  const log: string[] = []
  const sink: Sink = {
    async write({ data }) {
      log.push(`begin ${data}`)
      await new Promise(setImmediate)
      log.push(`end ${data}`)
    },
    close: async () => void log.push('close'),
  }
  const { reports } = await run([attach(sink, 'fail')], 3)
  assert.deepEqual(log, ['begin 0', 'end 0', 'begin 1', 'end 1', 'begin 2', 'end 2', 'close'])
  assert.deepEqual(reports, [{ type: 'under_test', delivered: 3, lost: 0, error: null }])
})

test('a sink that is sometimes asynchronous keeps the order', async () => {
  const sink = recordingSink('fail', ({ data }) =>
    Number(data) % 3 === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined,
  )
  await run([sink], 10)
  assert.deepEqual(
    sink.data(),
    Array.from({ length: 10 }, (_, index) => String(index)),
  )
})

test('thousands of queued events reach a slow sink in order', async () => {
  const sink = recordingSink('fail', () => Promise.resolve())
  const { reports } = await run([sink], 9000)
  assert.deepEqual([sink.data()[0], sink.data()[8999], reports[0]?.delivered], ['0', '8999', 9000])
})

test('a sink that hangs or breaks delays and starves no other', async () => {
  const healthy = recordingSink()
  const hanging = attach({ write: pending, close: () => Promise.resolve() }, 'drop')
  const broken = recordingSink('drop', () => {
    throw new Error('no')
  })
  const { reports } = await run([hanging, broken, healthy], 5, 20)
  assert.equal(healthy.events.length, 5)
  assert.deepEqual(
    reports.map(({ delivered, lost }) => [delivered, lost]),
    [
      [0, 5],
      [0, 5],
      [5, 0],
    ],
  )
})

test('drop: refused events are counted, the others are delivered', async () => {
  const sink = recordingSink('drop', ({ data }) => {
    if (data === '1') throw new Error('not this one')
  })
  const { reports, broken } = await run([sink], 3)
  assert.deepEqual([reports, broken], [[{ type: 'recording', delivered: 2, lost: 1, error: 'not this one' }], []])
})

test('drop: a full queue loses the newest events', async () => {
  let release = (): void => {}
  const gate = new Promise<void>((resolve) => (release = resolve))
  const sink = recordingSink('drop', () => gate)
  setImmediate(() => release())
  const { reports } = await run([{ ...sink, maxQueuedEvents: 2 }], 10)
  assert.deepEqual([sink.data(), reports[0]?.lost], [['0', '1', '2'], 7])
  assert.match(reports[0]?.error ?? '', /queue is full \(2 events wait\)/)
})

test('fail: the first refused event breaks the stream and nothing more is written', async () => {
  const sink = recordingSink('fail', ({ data }) => {
    if (data === '1') throw new Error('disk full')
  })
  const { reports, broken } = await run([sink], 4)
  assert.deepEqual([sink.data(), broken], [['0'], ['disk full']])
  assert.deepEqual(reports, [{ type: 'recording', delivered: 1, lost: 3, error: 'disk full' }])
})

test('fail: a full queue breaks the stream', async () => {
  const { broken } = await run([attach({ write: pending, close: () => Promise.resolve() }, 'fail', 2)], 4, 20)
  assert.deepEqual(broken, ['its queue is full (2 events wait)'])
})

test('retry: a refused event is written again before the next one', async () => {
  let refusals = 2
  const sink = recordingSink('retry', () => {
    if (refusals-- > 0) throw new Error('not yet')
  })
  const { reports, broken } = await run([sink], 3, 5000)
  assert.deepEqual([sink.data(), reports[0]?.lost, broken], [['0', '1', '2'], 0, []])
})

test('retry: an event that is refused four times is lost and the stream goes on', async () => {
  let writes = 0
  const sink = recordingSink('retry', ({ data }) => {
    if (data !== '0') return
    writes += 1
    throw new Error('never')
  })
  const { reports } = await run([sink], 2, 10_000)
  assert.deepEqual([writes, sink.data(), reports[0]?.delivered, reports[0]?.lost], [4, ['1'], 1, 1])
})

test('retry: a sink that stays broken does not hold the end of the stream', async () => {
  const sink = recordingSink('retry', () => {
    throw new Error('never')
  })
  const { reports } = await run([sink], 100, 20)
  assert.deepEqual([reports[0]?.lost, sink.closes()], [100, 1])
})

const CLOSES: Readonly<Record<string, () => Promise<void>>> = {
  'a close that rejects': () => Promise.reject(new Error('cannot close')),
  'a close that throws': () => {
    throw new Error('cannot close')
  },
  'a close that hangs': pending,
}
for (const [name, close] of Object.entries(CLOSES)) {
  test(`${name} is reported, and breaks only a sink with the policy fail`, async () => {
    const { reports, broken } = await run([attach({ write() {}, close }, 'drop'), attach({ write() {}, close }, 'fail')], 1, 20)
    assert.deepEqual([reports[0]?.delivered, reports[0]?.error === null, broken.length], [1, false, 1])
  })
}

test('a stream ends with SINK_FAILED when a sink with the policy fail breaks, and hangs up', async () => {
  let onHangUp = (): void => {}
  const hungUp = new Promise<void>((resolve) => (onHangUp = resolve))
  await using server = await serve((response) => {
    response.on('close', onHangUp)
    response.writeHead(200, SSE_HEAD).write('data: 1\n\ndata: 2\n\n')
  })
  const client = createHttpClient()
  const broken = recordingSink('fail', ({ data }) => {
    if (data === '2') throw new Error('disk full')
  })
  const other = recordingSink('drop')
  const result = await client.execute({ url: server.url }, { mode: 'stream', sinks: [broken, other] })
  await hungUp
  client.close()
  assert.deepEqual([result.error?.code, result.error?.detail], ['SINK_FAILED', { sink: 'recording', reason: 'disk full' }])
  assert.deepEqual([broken.closes(), other.closes(), other.data()], [1, 1, ['1', '2']])
})

test('a sink that fails only at its close fails a stream that was whole', async () => {
  await using server = await serve((response) => sendEvents(response, '1'))
  const client = createHttpClient()
  const sink = attach({ write() {}, close: () => Promise.reject(new Error('lost at the end')) }, 'fail')
  const result = await client.execute({ url: server.url }, { mode: 'stream', sinks: [sink] })
  client.close()
  assert.deepEqual([result.success, result.error?.code, result.status_code], [false, 'SINK_FAILED', 200])
})

test('sinks are closed exactly once, after the last write, however the call ends', async () => {
  const controller = new AbortController()
  await using server = await serve((response, request) => {
    if (request.path === '/cut') response.writeHead(200, SSE_HEAD).write('data: 1\n\n', () => response.destroy())
    else if (request.path === '/abort') controller.abort()
    else if (request.path === '/refuse') response.writeHead(503).end()
    else if (request.path === '/stall') response.writeHead(200, SSE_HEAD).flushHeaders()
    else sendEvents(response, '1')
  })
  const client = createHttpClient({ random: () => 0 })
  const run_ = async (path: string, config: Record<string, unknown> = {}): Promise<unknown[]> => {
    const sink = recordingSink()
    const { signal } = controller
    const execution = { mode: 'stream' as const, sinks: [sink], ...(path === '/abort' ? { signal } : {}) }
    const result = await client.execute({ url: server.url, path, ...config }, execution)
    return [result.error?.code, sink.closes()]
  }
  assert.deepEqual(await run_('/whole'), [undefined, 1])
  assert.deepEqual(await run_('/cut'), ['STREAM_INCOMPLETE', 1])
  assert.deepEqual(await run_('/abort'), ['ABORTED', 1])
  assert.deepEqual(await run_('/refuse', { retry: { max_attempts: 2, backoff_ms: [1] } }), ['503_SERVICE_UNAVAILABLE', 1])
  assert.deepEqual(await run_('/stall', { timeouts_ms: { first_byte: 20 } }), ['TIMEOUT', 1])
  assert.deepEqual(await run_('/whole', { limits: { max_event_bytes: 3 } }), ['LIMIT_EXCEEDED', 1])
  client.close()
})
