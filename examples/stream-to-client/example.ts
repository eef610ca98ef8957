import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import type { ThreadRow } from '../../src/threads/threads-client.ts'
import type { Stage } from '../stage.ts'

export const title = 'what the model streams goes to a remote client over a WebSocket, and to the thread at the same time'

export async function play(stage: Stage): Promise<void> {
  const received: string[] = []
  const client = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  client.on('connection', (socket) => socket.on('message', (data: Buffer) => void received.push(data.toString())))
  await once(client, 'listening')
  // A server that listens on a port has an address of this form.
  const { port } = client.address() as AddressInfo
  try {
    const row = (await stage.with({ WATCHER_URL: `ws://127.0.0.1:${port}` }).json('run', 'story')) as unknown as ThreadRow
    assert.equal(row.status, 'completed')
  } finally {
    client.close()
  }
  const told = received
    .map((data) => JSON.parse(data) as { readonly delta?: { readonly text?: string } })
    .map(({ delta }) => delta?.text ?? '')
    .join('')
  assert.equal(told, 'Once a kiwi walked home at night. It did not get lost.')
  stage.say(`the client got ${received.length} events: ${told}`)
}
