/**
 * Two clients. The library's own is what a server meets. The bare one costs next to nothing, so that more of what it measures is the server: a line
 * or a request out, the answer in, parsed once.
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request as sendRequest, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { Client, StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'

export type Era = 'legacy' | 'modern'

export interface ToolResult {
  readonly content: readonly { readonly type: string; readonly text?: string }[]
  readonly structuredContent?: unknown
  readonly isError?: boolean
}

export interface Caller {
  /** One `tools/call` of `search`. @throws when the server answers with an error. */
  search(given: object): Promise<ToolResult>
  close(): Promise<void>
}

interface Message {
  readonly id?: number
  readonly result?: ToolResult
  readonly error?: unknown
}

const VERSIONS: Readonly<Record<Era, string>> = { legacy: '2025-11-25', modern: '2026-07-28' }
const CLIENT = { name: 'bench', version: '1' }
const ANSWER_TIMEOUT_MS = 60_000

export interface Command {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** The library's client, which starts the server itself. */
export function callStdioBySdk({ args, ...command }: Command, era: Era): Promise<Caller> {
  return connect(new StdioClientTransport({ ...command, args: [...args], stderr: 'ignore' }), era)
}

/** The library's client over HTTP. */
export function callHttpBySdk({ url, token }: Served, era: Era): Promise<Caller> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }), era)
}

async function connect(transport: Transport, era: Era): Promise<Caller> {
  const mode = era === 'modern' ? { pin: VERSIONS.modern } : 'legacy'
  const client = new Client(CLIENT, { versionNegotiation: { mode } })
  await client.connect(transport)
  return {
    async search(given) {
      // What a tool gives here is checked by the benchmark itself.
      return resultOf({ result: (await client.callTool({ name: 'search', arguments: { ...given } })) as ToolResult })
    },
    close: () => client.close(),
  }
}

/** Over the pipes of a server that was started; it ends when they do. */
export async function callStdio(server: ChildProcessWithoutNullStreams, era: Era): Promise<Caller> {
  const waiting = new Map<number, PromiseWithResolvers<Message>>()
  server.once('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`The server ended with code ${code}.`))
  })
  createInterface({ input: server.stdout }).on('line', (line) => {
    // Lines of a JSON-RPC server.
    const message = JSON.parse(line) as Message
    if (message.id === undefined) return
    waiting.get(message.id)?.resolve(message)
    waiting.delete(message.id)
  })
  const numbered = numbers()
  const ask = (method: string, params: object): Promise<Message> => {
    const id = numbered()
    const answer = Promise.withResolvers<Message>()
    waiting.set(id, answer)
    server.stdin.write(`${bodyOf({ id, method, params })}\n`)
    return answer.promise
  }
  if (era === 'legacy') {
    await ask('initialize', INITIALIZE)
    server.stdin.write(`${bodyOf({ method: 'notifications/initialized' })}\n`)
  }
  return {
    search: async (given) => resultOf(await ask('tools/call', callParams(given, era))),
    async close() {
      server.stdin.end()
    },
  }
}

export interface Served {
  readonly url: string
  /** Sent where there is one. */
  readonly token?: string
}

/** Over one connection that is kept open. */
export async function callHttp({ url, token }: Served, era: Era): Promise<Caller> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
  const post = async (body: string, more: Readonly<Record<string, string>> = {}): Promise<IncomingMessage> => {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
    const length = { 'content-length': String(Buffer.byteLength(body)) }
    const sending = sendRequest(url, { method: 'POST', agent, headers: { ...headers, ...more, ...length } })
    sending.end(body)
    const [response] = await once(sending, 'response', { signal })
    return response as IncomingMessage // the one argument of this event
  }
  const numbered = numbers()
  if (era === 'legacy') {
    const opened = await post(bodyOf({ id: numbered(), method: 'initialize', params: INITIALIZE }))
    await text(opened)
    headers['mcp-session-id'] = String(opened.headers['mcp-session-id'])
    await text(await post(bodyOf({ method: 'notifications/initialized' })))
  }
  headers['mcp-protocol-version'] = VERSIONS[era]
  const routing = { 'mcp-method': 'tools/call', 'mcp-name': 'search' }
  return {
    async search(given) {
      const body = bodyOf({ id: numbered(), method: 'tools/call', params: callParams(given, era) })
      return resultOf(messageOf(await text(await post(body, era === 'modern' ? routing : {}))))
    },
    async close() {
      agent.destroy()
    },
  }
}

const INITIALIZE = { protocolVersion: VERSIONS.legacy, capabilities: {}, clientInfo: CLIENT }

function callParams(given: object, era: Era): object {
  const call = { name: 'search', arguments: given }
  if (era === 'legacy') return call
  const meta = { protocolVersion: VERSIONS.modern, clientInfo: CLIENT, clientCapabilities: {} }
  const named = Object.entries(meta).map(([name, value]) => [`io.modelcontextprotocol/${name}`, value])
  return { ...call, _meta: Object.fromEntries(named) }
}

function bodyOf(message: object): string {
  return JSON.stringify({ jsonrpc: '2.0', ...message })
}

/** Of a body that is JSON, or a stream of events of which the last one is the answer. */
function messageOf(body: string): Message {
  const data = body.startsWith('{') ? body : body.slice(body.lastIndexOf('\ndata: ') + '\ndata: '.length)
  // An answer of a JSON-RPC server.
  return JSON.parse(data) as Message
}

function resultOf({ result, error }: Message): ToolResult {
  if (result === undefined || result.isError === true) throw new Error(`A call failed: ${JSON.stringify(error ?? result)}`)
  return result
}

function numbers(): () => number {
  let last = 0
  return () => (last += 1)
}
