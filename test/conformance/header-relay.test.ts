import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { startHeaderRelay } from './header-relay.ts'

async function relayed(listener: RequestListener): Promise<AsyncDisposable & { readonly origin: string }> {
  const server: Server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A server that listens on TCP has an address of this form.
  const relay = await startHeaderRelay((server.address() as AddressInfo).port, ['Authorization', 'Bearer t'])
  return {
    origin: relay.origin,
    async [Symbol.asyncDispose]() {
      await relay.close()
      server.closeAllConnections()
      server.close()
    },
  }
}

test('the relay adds one header and changes nothing else of a request and its answer', async () => {
  const seen: { head?: Pick<IncomingMessage, 'rawHeaders' | 'method' | 'url'>; body?: string } = {}
  await using relay = await relayed(async (incoming, outgoing) => {
    seen.head = incoming
    seen.body = await text(incoming)
    outgoing.writeHead(418, ['X-Kettle', 'one', 'X-Kettle', 'two']).end('short and stout')
  })
  const headers = ['hOst: evil.example.com', 'Origin: http://evil.example.com', 'X-Two: 1', 'x-two: 2', 'Content-Length: 4']
  const client = connect(Number(new URL(relay.origin).port), '127.0.0.1')
  client.write(`POST /mcp?a=%20b HTTP/1.1\r\n${headers.join('\r\n')}\r\nConnection: close\r\n\r\nbody`)
  const answer = await text(client)
  assert.match(answer, /^HTTP\/1\.1 418 /u)
  assert.match(answer, /\r\nX-Kettle: one\r\nX-Kettle: two\r\n/u)
  assert.match(answer, /short and stout/u)
  assert.equal(`${seen.head?.method} ${seen.head?.url} ${seen.body}`, 'POST /mcp?a=%20b body')
  const raw = seen.head?.rawHeaders ?? []
  const lines = raw.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${raw[index + 1]}`] : []))
  assert.deepEqual(
    lines.filter((line) => !line.startsWith('Connection:')),
    [...headers, 'Authorization: Bearer t'],
  )
})

test('the relay passes a stream on piece by piece, and its end on to the server when the client goes', async () => {
  const gone = Promise.withResolvers<void>()
  await using relay = await relayed((_, outgoing) => {
    outgoing.on('close', () => gone.resolve())
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
    outgoing.write('data: first\n\n')
  })
  const listening = request(`${relay.origin}/mcp`).end()
  const [answer] = (await once(listening, 'response')) as [IncomingMessage]
  const [piece] = (await once(answer, 'data')) as [Buffer]
  assert.equal(piece.toString(), 'data: first\n\n')
  answer.destroy()
  await gone.promise
})
