/**
 * The process in which a tool of a project or a user runs. It is told by messages what to load and what to call; it holds nothing else.
 *
 * W1. Only built-in modules and the files beside this one are imported before the tool is loaded; after that, only what was verified.
 * W2. Messages come by standard input and go by standard output, and the tool is given neither: what it prints goes to standard error.
 * W3. The process ends with its input.
 */
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { createFrameReader, encodeFrame } from './frames.ts'
import { createHostFetch } from './host-fetch.ts'
import {
  type Denial,
  type HostMessage,
  MAX_MESSAGE_BYTES,
  MAX_RESULT_BYTES,
  type Thrown,
  type WorkerMessage,
} from './messages.ts'
import { findUnserialisable } from './serialisable.ts'
import { serveVerifiedSources } from './verified-sources.ts'

type Call = Extract<HostMessage, { type: 'call' }>
type Tool = (input: unknown, context: { readonly projectPath: string; readonly signal: AbortSignal }) => unknown

interface ToolSink {
  write(event: unknown): unknown
  close(): unknown
}

const incoming = new Socket({ fd: 0, readable: true, writable: false })
const outgoing = new Socket({ fd: 1, readable: false, writable: true })
const hostFetch = createHostFetch({
  request: (id, request) => send({ type: 'fetch', id, request }),
  abort: (id) => send({ type: 'fetch_abort', id }),
})
const controllers = new Map<number, AbortController>()
let tool: Tool | null = null
let sink: ToolSink | null = null

for (const name of Object.keys(process.env)) delete process.env[name]
globalThis.fetch = hostFetch.fetch
// W2
Object.defineProperty(process, 'stdin', { value: Readable.from([]) })
Object.defineProperty(process, 'stdout', { value: process.stderr })
// The other end is our host, which writes only these messages.
incoming.on(
  'data',
  createFrameReader(MAX_MESSAGE_BYTES * 2, (message) => void receive(message as HostMessage)),
)
// W3
incoming.on('close', () => process.exit(0))
incoming.on('error', () => process.exit(1))
outgoing.on('error', () => process.exit(1))

function send(message: WorkerMessage): void {
  outgoing.write(encodeFrame(message))
}

async function receive(message: HostMessage): Promise<void> {
  switch (message.type) {
    case 'load':
      return await load(message)
    case 'call':
      return await answer(message)
    case 'abort':
      return controllers.get(message.id)?.abort(new Error(message.reason))
    case 'fetched':
      return hostFetch.settle(message.id, message.response)
    case 'fetch_failed':
      return hostFetch.fail(message.id, message.message)
  }
}

async function load({ main, sources, dependencies }: Extract<HostMessage, { type: 'load' }>): Promise<void> {
  const files = new Map(sources.map(([url, bytes]) => [url, Buffer.from(bytes, 'base64')]))
  serveVerifiedSources({ files, dependencies })
  try {
    // A namespace object is a record of exports.
    const module = (await import(main)) as Readonly<Record<string, unknown>>
    const run = module['default']
    if (isTool(run)) tool = run
    send({ type: 'loaded', callable: tool !== null })
  } catch (error) {
    const { name, message, denial } = described(error)
    const hint = name === 'SyntaxError' && message.includes('export named') ? ' If that name is a type, write `import type`.' : ''
    send({ type: 'load_failed', name, message: `${message}${hint}`, denial })
  }
}

async function answer(call: Call): Promise<void> {
  const { id } = call
  try {
    reply(id, await perform(call))
  } catch (error) {
    send({ type: 'failed', id, ...described(error) })
  } finally {
    // A sink is open, and can be aborted, until it is closed.
    if (call.action === 'close') controllers.clear()
    else if (call.action !== 'open') controllers.delete(id)
  }
}

async function perform({ id, action, input, projectPath }: Call): Promise<unknown> {
  if (action === 'write' || action === 'close') {
    if (sink === null) throw new Error('The sink was not opened.')
    await (action === 'write' ? sink.write(input) : sink.close())
    return null
  }
  const controller = new AbortController()
  controllers.set(id, controller)
  const value = await tool?.(input, { projectPath, signal: controller.signal })
  if (action === 'run') return value
  if (!isSink(value)) throw new TypeError('The sink’s default export returned no object with write(event) and close().')
  sink = value
  return null
}

function reply(id: number, value: unknown): void {
  const found = findUnserialisable(value)
  if (found !== null) return send({ type: 'unserialisable', id, message: found })
  const frame = encodeFrame({ type: 'result', id, value })
  if (frame.length > MAX_RESULT_BYTES)
    return send({ type: 'unserialisable', id, message: `it is ${frame.length} bytes long, ${MAX_RESULT_BYTES} are the most` })
  outgoing.write(frame)
}

function described(error: unknown): Thrown {
  if (error instanceof Error) return { name: error.name, message: error.message, denial: denialOf(error) }
  return { name: 'Error', message: `a ${typeof error} was thrown: ${String(error)}`, denial: null }
}

/** Node's permission model says what it denied beside the message, not in it; of the network it says neither. */
function denialOf(error: Error): Denial | null {
  if (!('code' in error) || error.code !== 'ERR_ACCESS_DENIED') return null
  const permission = 'permission' in error && typeof error.permission === 'string' ? error.permission : 'Net'
  const resource = 'resource' in error && typeof error.resource === 'string' ? error.resource : ''
  return { permission, resource }
}

function isTool(value: unknown): value is Tool {
  return typeof value === 'function'
}

function isSink(value: unknown): value is ToolSink {
  return (
    typeof value === 'object' &&
    value !== null &&
    'write' in value &&
    typeof value.write === 'function' &&
    'close' in value &&
    typeof value.close === 'function'
  )
}
