import { createMcpHandler, McpServer, fromJsonSchema } from '@modelcontextprotocol/server'
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { JsonObject } from '../../src/json.ts'
import type { McpClient, McpSession } from '../../src/mcp-client/contract.ts'
import { createMcpClient, type McpClientOptions } from '../../src/mcp-client/mcp-client.ts'
import { openMcpSession } from '../../src/mcp-client/session/open-session.ts'
import type { RpcCall, RpcOutcome } from '../../src/primitives/json-rpc/contract.ts'
import type { Grant } from '../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../src/primitives/sandbox/sandbox.ts'
import { createProcessOpener } from '../../src/primitives/subprocess/open-process.ts'

/** The checkout: servers from npm are programs of it. */
const ROOT: string = join(import.meta.dirname, '../..')

export const OPERATOR: Grant = {
  id: 'operator',
  threadId: null,
  read: [],
  write: [],
  network: { kind: 'open' },
  isLive: () => true,
}

export interface TestClient {
  readonly client: McpClient
  /** Every session that was opened, in order. */
  readonly sessions: readonly McpSession[]
  readonly http: (url: string, rpc: JsonObject, more?: CallMore) => Promise<RpcOutcome>
  readonly stdio: (config: JsonObject, rpc: JsonObject, more?: CallMore) => Promise<RpcOutcome>
}

export interface CallMore {
  readonly parameters?: JsonObject
  readonly config?: JsonObject
  readonly grant?: Grant
  readonly signal?: AbortSignal
  readonly projectPath?: string
  readonly leaf?: Partial<RpcCall['leaf']>
}

/** The real client over real sessions and sandboxed processes; `env` is the environment of the host. */
export function testClient(
  t: TestContext,
  options: Partial<McpClientOptions> & { readonly env?: Readonly<Record<string, string>> } = {},
): TestClient {
  const { env = {}, ...rest } = options
  const sessions: McpSession[] = []
  const client = createMcpClient({
    openProcess: createProcessOpener({ sandbox: createSandbox({ mode: 'bubblewrap' }), env: (name) => env[name] }),
    async openSession(request) {
      const session = await openMcpSession(request)
      sessions.push(session)
      return session
    },
    ...rest,
  })
  t.after(async () => await client.close())
  const callOf = (config: JsonObject, rpc: JsonObject, more: CallMore): RpcCall => ({
    config: { ...config, ...more.config, rpc: { protocol: 'mcp', server: 'peer', ...rpc } },
    parameters: more.parameters ?? {},
    leaf: { id: 'peer_tool', description: 'A tool of the tests.', inputSchema: null, ...more.leaf },
    context: {
      projectPath: more.projectPath ?? ROOT,
      __grant: more.grant ?? OPERATOR,
      ...(more.signal === undefined ? {} : { signal: more.signal }),
    },
  })
  return {
    client,
    sessions,
    http: async (url, rpc, more = {}) => await client.overHttp.call(callOf({ url }, rpc, more)),
    stdio: async (config, rpc, more = {}) => await client.overStdio.call(callOf(config, rpc, more)),
  }
}

/** Configuration of a server from npm that the checkout has. */
export function npmServer(name: 'everything' | 'filesystem' | 'memory', ...args: readonly string[]): JsonObject {
  return { command: 'node', args: [`node_modules/@modelcontextprotocol/server-${name}/dist/index.js`, ...args] }
}

/** What the packages of the checkout consist of. */
export const PROGRAM = { program: ['node_modules'] } as const

/** A project that holds the hostile server. */
export async function projectWithServer(t: TestContext): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'kiwi-mcp-client-')))
  t.after(async () => await rm(path, { recursive: true, force: true }))
  await writeFile(join(path, 'hostile-server.mjs'), await hostileServerText())
  return path
}

export async function hostileServerText(): Promise<string> {
  return await readFile(join(import.meta.dirname, 'hostile-server.mjs'), 'utf8')
}

export interface Peer {
  readonly url: string
  readonly port: number
  /** Names of the tools that were called, in order. */
  readonly calls: readonly string[]
  /** Bearer tokens and headers that came, by request. */
  readonly headers: readonly Readonly<Record<string, unknown>>[]
  /** Lets the oldest call of `wait` go on. */
  release(): void
  /** Resolves when so many calls of `wait` are there at one time. */
  waiting(count: number): Promise<void>
  describe(text: string): void
  close(): Promise<void>
}

/** A server of the SDK for both eras, on loopback: tools `echo`, `fail`, `wait`. */
export async function startPeer(t: TestContext, port = 0): Promise<Peer> {
  const calls: string[] = []
  const headers: Record<string, unknown>[] = []
  const held: (() => void)[] = []
  let watchers: { readonly count: number; readonly resolve: () => void }[] = []
  let description = 'Says it again.'
  const factory = (): McpServer => {
    const server = new McpServer({ name: 'peer', version: '1' })
    const inputSchema = fromJsonSchema<JsonObject>({ type: 'object', properties: { text: { type: 'string' } } })
    server.registerTool('echo', { description, inputSchema }, async (args) => {
      calls.push('echo')
      return { content: [{ type: 'text', text: JSON.stringify(args) }] }
    })
    server.registerTool('fail', { description: 'Fails.', inputSchema }, async () => {
      calls.push('fail')
      return { content: [{ type: 'text', text: '\u001B[2Jno \u202Esuch thing' }], isError: true }
    })
    server.registerTool('wait', { description: 'Waits.', inputSchema }, async (_args, context) => {
      calls.push('wait')
      await new Promise<void>((resolve) => {
        held.push(resolve)
        context.mcpReq.signal.addEventListener('abort', () => {
          const at = held.indexOf(resolve)
          if (at < 0) return
          held.splice(at, 1)
          calls.push('aborted')
          resolve()
        })
        for (const watcher of watchers.filter(({ count }) => held.length >= count)) watcher.resolve()
        watchers = watchers.filter(({ count }) => held.length < count)
      })
      return { content: [{ type: 'text', text: 'waited' }] }
    })
    return server
  }
  const handle = toNodeHandler(createMcpHandler(factory))
  const server = createServer((request, response) => {
    headers.push(request.headers)
    // A request of a server has a method and a URL; the library's type only refuses `undefined` for them.
    void handle(request as NodeIncomingMessageLike, response)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : 0
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  t.after(async () => {
    for (const resolve of held) resolve()
    if (server.listening) await close()
  })
  return {
    url: `http://127.0.0.1:${bound}/mcp`,
    port: bound,
    calls,
    headers,
    release: () => held.shift()?.(),
    waiting: async (count) => {
      if (held.length < count) await new Promise<void>((resolve) => watchers.push({ count, resolve }))
    },
    describe: (text) => void (description = text),
    close,
  }
}

/** server-everything over Streamable HTTP, as its own process. Gives its URL. */
export async function startEverything(t: TestContext): Promise<string> {
  const program = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js')
  const port = await freePort()
  const child = spawn(process.execPath, [program, 'streamableHttp'], {
    env: { PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  await new Promise<void>((resolve, reject) => {
    const onText = (chunk: Buffer): void => {
      if (chunk.toString().includes(String(port))) resolve()
    }
    child.stdout.on('data', onText)
    child.stderr.on('data', onText)
    child.once('exit', () => reject(new Error('server-everything did not start')))
  })
  return `http://127.0.0.1:${port}/mcp`
}

export async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** The text of the first content block of a result. */
export function textOf({ value, error }: RpcOutcome): string {
  if (error !== null) throw new Error(`${error.code}: ${error.message}`)
  // The value of tools/call as the client gives it.
  const { content } = value as { readonly content: readonly { readonly text: string }[] }
  return content[0]?.text ?? ''
}

/** Waits until `holds`, asked again and again. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`still not so: ${what}`)
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
