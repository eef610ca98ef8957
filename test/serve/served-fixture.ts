import { EventEmitter, once } from 'node:events'
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { TestContext } from 'node:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Server } from '@modelcontextprotocol/server'
import { type McpHttpOptions, type McpHttpServer, serveMcpHttp } from '../../src/serve/http-server.ts'

export const TOKEN = 'T0ken-of_the-tests-43-characters-long-000000'
export const ERAS = { legacy: { mode: 'legacy' }, modern: { mode: { pin: '2026-07-28' } } } as const

export interface Served extends McpHttpServer {
  /** What happened in the service: `hanging` when a call of `hang` has begun, `aborted` when its signal was, `closed` when a session ended. */
  readonly events: EventEmitter
  /** How many listeners watch for changed resources. */
  readonly watchers: () => number
  /** Says that a resource changed. */
  readonly change: (uri: string) => void
  readonly errors: Error[]
}

/** A service of two tools on the real server: `echo` answers its text, `hang` only ends when its signal is aborted. */
export async function serveFixture(t: TestContext, options: Partial<McpHttpOptions> = {}): Promise<Served> {
  const events = new EventEmitter()
  const listeners = new Set<(uri: string) => void>()
  const errors: Error[] = []
  const server = await serveMcpHttp({
    serving: {
      factory({ era }) {
        const fixture = createFixtureServer(events)
        // The library calls on what it finds here; a server is no EventTarget.
        // oxlint-disable-next-line unicorn/prefer-add-event-listener
        if (era === 'legacy') fixture.onclose = () => events.emit('closed')
        return fixture
      },
      onResourceUpdated(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      onResourceListChanged: () => () => undefined,
    },
    port: 0,
    token: TOKEN,
    onError: (error) => errors.push(error),
    ...options,
  })
  t.after(() => server.close())
  return {
    ...server,
    events,
    errors,
    watchers: () => listeners.size,
    change: (uri) => {
      for (const listener of listeners) listener(uri)
    },
  }
}

function createFixtureServer(events: EventEmitter): Server {
  const server = new Server(
    { name: 'fixture', version: '1.0.0' },
    { capabilities: { tools: {}, resources: { subscribe: true, listChanged: true } } },
  )
  const inputSchema = { type: 'object' as const }
  server.setRequestHandler('tools/list', async () => ({
    tools: [
      { name: 'echo', inputSchema },
      { name: 'hang', inputSchema },
    ],
  }))
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq, http }) => {
    if (params.name === 'hang') {
      const aborted = once(mcpReq.signal, 'abort')
      events.emit('hanging')
      await aborted
      events.emit('aborted')
    }
    const { text = '' } = params.arguments ?? {}
    const headers = [...(http?.req?.headers.keys() ?? [])]
    return { content: [{ type: 'text', text: typeof text === 'string' ? text : '' }], structuredContent: { headers } }
  })
  server.setRequestHandler('resources/list', async () => ({ resources: [] }))
  return server
}

/** A client of the official library that is connected, and closed at the end of the test. */
export async function connectClient(t: TestContext, url: string, era: keyof typeof ERAS, token = TOKEN): Promise<Client> {
  const client = new Client({ name: 'kiwi-test', version: '1.0.0' }, { versionNegotiation: ERAS[era] })
  await client.connect(transportTo(url, token))
  t.after(() => client.close())
  return client
}

export function transportTo(url: string, token: string): StreamableHTTPClientTransport {
  return new StreamableHTTPClientTransport(new URL(url), { authProvider: { token: async () => token } })
}

export interface RawRequest {
  readonly port: number
  readonly method?: string
  readonly path?: string
  /** Sent as they are; a list is sent as several headers. Without `host`, the right one. */
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string | Buffer
}

export interface RawAnswer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** One request byte by byte as the test wants it, over a connection of its own. */
export async function send({ port, method = 'POST', path = '/mcp', headers = {}, body }: RawRequest): Promise<RawAnswer> {
  const given = { host: `127.0.0.1:${port}`, ...headers }
  const request = httpRequest({ host: '127.0.0.1', port, method, path, headers: given, setHost: false, agent: false })
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { status: response.statusCode, headers: response.headers, text }
}

export const AUTHORIZED = { authorization: `Bearer ${TOKEN}` }
export const JSON_HEADERS = {
  ...AUTHORIZED,
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
}

/** The body of an `initialize` of the older era. */
export const INITIALIZE: string = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
})

/** Opens a session without the library and returns its id. */
export async function openSession(port: number): Promise<string> {
  const { headers } = await send({ port, headers: JSON_HEADERS, body: INITIALIZE })
  return String(headers['mcp-session-id'])
}

/** Asks again until it is so. */
export async function eventually(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`It did not come to this: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
