import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { StreamEvent } from '../../../src/primitives/http-client/contract.ts'
import type { Lookup } from '../../../src/primitives/network/lookup.ts'
import type { NetworkGrant, NetworkPolicy } from '../../../src/primitives/sandbox/contract.ts'
import createWebSocketSink from '../../../system/tools/sinks/websocket_sink.ts'
import { serveTcp } from '../../primitives/http-client/loopback.ts'

type Context = NonNullable<Parameters<typeof createWebSocketSink>[1]>

const event = (data: string): StreamEvent => ({ event: 'message', data, id: '' })
const granted = (network: NetworkGrant, isLive: () => boolean = () => true): Context => ({ grant: { network, isLive } })
const scoped = (policy: Partial<NetworkPolicy> = {}): NetworkGrant => ({
  kind: 'scoped',
  policy: { allows: () => true, allowsPrivate: () => false, ...policy },
})
const toLoopback: Lookup = async () => [{ address: '127.0.0.1' }]

async function listening(
  onSocket: (socket: WebSocket, request: IncomingMessage) => void,
): Promise<{ port: number } & AsyncDisposable> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', onSocket)
  await once(server, 'listening')
  const close = async (): Promise<void> => {
    for (const client of server.clients) client.terminate()
    await new Promise((resolve) => server.close(resolve))
  }
  // A server that listens on a TCP port has an address object.
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: close }
}

// Fails when `createAdmission` gives null for a scoped grant.
test('threat row 11: a sink under a scoped grant does not connect to an address that is not public, nor to a host without a scope', async () => {
  await using server = await serveTcp((socket) => socket.destroy())
  const url = (host: string): string => `ws://${host}:${server.port}/?token=secret`
  for (const host of [
    '127.0.0.1',
    '0x7f.1',
    '2130706433',
    '[::1]',
    '[::ffff:127.0.0.1]',
    'localhost',
    'name.test',
    'localhost.',
  ]) {
    const made = createWebSocketSink({ url: url(host) }, { ...granted(scoped()), lookup: toLoopback })
    await assert.rejects(
      made,
      (error: Error & { code?: string }) => error.code === 'ADDRESS_DENIED' && !error.message.includes('secret'),
    )
  }
  const onlyHttp = granted(scoped({ allows: ({ protocol }) => protocol === 'http', allowsPrivate: () => true }))
  await assert.rejects(createWebSocketSink({ url: url('127.0.0.1') }, onlyHttp), {
    code: 'PERMISSION_DENIED',
    context: { facts: { missing: [`net.websocket "127.0.0.1:${server.port}"`] } },
  })
  await assert.rejects(createWebSocketSink({ url: url('127.0.0.1') }, granted({ kind: 'none' })), { code: 'ADDRESS_DENIED' })
  assert.equal(server.connections(), 0)
})

test('a sink under a scope that names its server connects to the checked address, and Host keeps the name', async () => {
  const received: string[] = []
  let host: string | undefined
  await using server = await listening((socket, request) => {
    host = request.headers.host
    socket.on('message', (message) => received.push(Buffer.isBuffer(message) ? message.toString('utf8') : ''))
  })
  const network = scoped({ allowsPrivate: ({ port }) => port === server.port })
  const sink = await createWebSocketSink({ url: `ws://name.test:${server.port}` }, { ...granted(network), lookup: toLoopback })
  await sink.write(event('1'))
  await sink.close()
  assert.deepEqual([received, host], [['1'], `name.test:${server.port}`])
})

// Fails when only the first connection of a sink is checked.
test(
  'threat row 12: a sink checks each later connection, and gives up when the name leads elsewhere',
  { timeout: 10_000 },
  async () => {
    let connections = 0
    await using server = await listening((socket) => {
      connections += 1
      socket.on('message', () => socket.terminate())
    })
    let onSecond = (): void => {}
    const lookedUpAgain = new Promise<void>((resolve) => (onSecond = resolve))
    let asked = 0
    const lookup: Lookup = async () => {
      asked += 1
      if (asked > 1) onSecond()
      return [{ address: asked > 1 ? '169.254.169.254' : '127.0.0.1' }]
    }
    const network = scoped({ allowsPrivate: () => true })
    const sink = await createWebSocketSink({ url: `ws://name.test:${server.port}` }, { ...granted(network), lookup })
    await sink.write(event('1'))
    await lookedUpAgain
    await new Promise(setImmediate)
    assert.throws(() => sink.write(event('2')), /The name "name\.test" leads to a link-local address/)
    await sink.close()
    assert.deepEqual([connections, asked], [1, 2])
  },
)

test('a sink of a thread that may no longer act is not made, and a failed lookup is tried again', async () => {
  const url = 'ws://name.test/'
  await assert.rejects(createWebSocketSink({ url }, { ...granted(scoped(), () => false), lookup: toLoopback }), {
    code: 'PERMISSION_DENIED',
  })
  let asked = 0
  const lookup: Lookup = async () => {
    asked += 1
    throw new Error('no resolver')
  }
  const sink = await createWebSocketSink({ url, reconnect_attempts: 1 }, { ...granted(scoped()), lookup })
  await sink.write(event('1'))
  await assert.rejects(sink.close(), /1 events did not reach .*no resolver/)
  assert.equal(asked, 2)
})
