import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { sendWebResponse } from '../../src/serve/web-exchange.ts'

test('a stream of events that breaks ends its own connection and nothing else', async (t) => {
  // Fails, by a rejection that nobody handles, when the cancelling of the broken stream has no handler.
  const server = createServer((_incoming, response) => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Buffer.from('data: one\n\n')),
      pull: () => Promise.reject(new Error('The service behind it broke.')),
    })
    const answer = new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    void sendWebResponse(answer, response).catch(() => response.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  // A server that listens on a TCP port has an address object.
  const { port } = server.address() as AddressInfo
  for (let round = 0; round < 3; round += 1) {
    const asked = request({ port, host: '127.0.0.1' }).end()
    const ended = Promise.withResolvers<void>()
    asked.on('error', () => ended.resolve())
    asked.on('response', (response) => {
      response.on('error', () => ended.resolve())
      response.on('close', () => ended.resolve())
      response.resume()
    })
    await ended.promise
  }
  assert.ok(server.listening)
})
