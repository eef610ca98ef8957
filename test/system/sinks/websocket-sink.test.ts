import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { Sink, StreamEvent } from '../../../src/primitives/http-client/contract.ts'
import createNullSink from '../../../system/tools/sinks/null_sink.ts'
import createWebSocketSink from '../../../system/tools/sinks/websocket_sink.ts'

interface Receiver extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly received: readonly string[]
  readonly connections: () => number
  /** Resolves when so many messages have arrived. */
  receives(count: number): Promise<void>
}

async function receiver(onSocket: (socket: WebSocket, connection: number) => void = () => {}, port = 0): Promise<Receiver> {
  const server = new WebSocketServer({ port, host: '127.0.0.1' })
  const received: string[] = []
  let connections = 0
  let onMessage = (): void => {}
  server.on('connection', (socket) => {
    connections += 1
    socket.on('error', () => socket.terminate())
    socket.on('message', (message) => {
      if (Buffer.isBuffer(message)) received.push(message.toString('utf8'))
      onMessage()
    })
    onSocket(socket, connections)
  })
  await once(server, 'listening')
  // A server that listens on a TCP port has an address object.
  const address = server.address() as AddressInfo
  const close = async (): Promise<void> => {
    for (const client of server.clients) client.terminate()
    await new Promise((resolve) => server.close(resolve))
  }
  const receives = (count: number): Promise<void> =>
    new Promise((resolve) => {
      onMessage = () => {
        if (received.length >= count) resolve()
      }
      onMessage()
    })
  return {
    url: `ws://127.0.0.1:${address.port}`,
    port: address.port,
    received,
    connections: () => connections,
    receives,
    [Symbol.asyncDispose]: close,
  }
}

async function freePort(): Promise<number> {
  await using server = await receiver()
  return server.port
}

/** Enough turns of the loop for an end that the system already knows of to reach the client. */
async function severalTurns(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate)
}

const event = (data: string): StreamEvent => ({ event: 'message', data, id: '' })
const write = async (sink: Sink, ...payloads: readonly string[]): Promise<void> => {
  for (const payload of payloads) await sink.write(event(payload))
}

test('payloads arrive in order, also those written before the connection was made', async () => {
  await using server = await receiver()
  const sink = await createWebSocketSink({ url: server.url })
  await write(sink, '1', '2', 'ü')
  await server.receives(3)
  await write(sink, '4')
  await sink.close()
  await server.receives(4)
  assert.deepEqual([server.received, server.connections()], [['1', '2', 'ü', '4'], 1])
})

test('the close waits for what is kept', async () => {
  await using server = await receiver()
  const sink = await createWebSocketSink({ url: server.url })
  await write(sink, ...Array.from({ length: 500 }, (_, index) => String(index)))
  await sink.close()
  await server.receives(500)
  assert.equal(server.received.at(-1), '499')
})

test('a dropped connection is made again and what was written meanwhile arrives', async () => {
  let drop = (): void => {}
  await using server = await receiver((socket, connection) => {
    if (connection === 1) drop = () => socket.terminate()
  })
  const sink = await createWebSocketSink({ url: server.url })
  await write(sink, 'before')
  await server.receives(1)
  drop()
  await severalTurns()
  await write(sink, 'meanwhile', 'after')
  await server.receives(3)
  await sink.close()
  assert.deepEqual([server.received, server.connections()], [['before', 'meanwhile', 'after'], 2])
})

test('a server that comes up late gets everything', async () => {
  const port = await freePort()
  const sink = await createWebSocketSink({ url: `ws://127.0.0.1:${port}` })
  await write(sink, '1', '2')
  await using server = await receiver(() => {}, port)
  await server.receives(2)
  await sink.close()
  assert.deepEqual(server.received, ['1', '2'])
})

test('a full buffer refuses the newest event', async () => {
  const sink = await createWebSocketSink({ url: `ws://127.0.0.1:${await freePort()}`, buffer_max_size: 2, reconnect_attempts: 0 })
  await write(sink, '1', '2')
  await assert.rejects(write(sink, '3'), /`buffer_max_size` \(2 events\) is reached/)
  await assert.rejects(sink.close(), /2 events did not reach ws:\/\/127\.0\.0\.1:\d+\/: .*ECONNREFUSED/)
})

test('when the attempts are used up, writes are refused and the close tells the loss', async () => {
  const sink = await createWebSocketSink({ url: `ws://127.0.0.1:${await freePort()}/path?token=secret`, reconnect_attempts: 1 })
  await write(sink, '1')
  await assert.rejects(
    sink.close(),
    (error: Error) => error.message.startsWith('1 events did not reach') && !error.message.includes('secret'),
  )
  await assert.rejects(write(sink, '2'), /not connected/)
})

test('without buffering, events are refused while the connection is lost', async () => {
  let onDrop = (): void => {}
  const dropped = new Promise<void>((resolve) => (onDrop = resolve))
  await using server = await receiver((socket, connection) => {
    socket.on('close', onDrop)
    if (connection === 1) socket.on('message', () => socket.terminate())
  })
  const sink = await createWebSocketSink({ url: server.url, buffer_on_disconnect: false })
  await write(sink, '1')
  await dropped
  await severalTurns()
  await assert.rejects(write(sink, '2'), /no connection/)
  await sink.close()
  assert.deepEqual(server.received, ['1'])
})

test('an abort ends the attempts to connect', async () => {
  const controller = new AbortController()
  const sink = await createWebSocketSink({ url: `ws://127.0.0.1:${await freePort()}` }, { signal: controller.signal })
  await write(sink, '1')
  controller.abort()
  await assert.rejects(sink.close(), /1 events did not reach .*: the call was aborted/)
})

test('a wrong option is an error that names it', async () => {
  const wrong = { url: 'http://localhost', reconnect_attempts: -1, buffer_max_size: 0 }
  for (const [name, value] of Object.entries(wrong)) {
    const options = { url: 'ws://localhost', [name]: value }
    await assert.rejects(createWebSocketSink(options), { code: 'CONFIG_VALIDATION_ERROR', message: new RegExp(name) })
  }
})

test('the null sink takes everything', async () => {
  const sink = await createNullSink()
  assert.equal(sink.write(event('1')), undefined)
  await sink.close()
})
