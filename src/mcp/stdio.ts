import { Console } from 'node:console'
import { Writable } from 'node:stream'
import type { JSONRPCMessage, McpRequestContext, Server } from '@modelcontextprotocol/server'
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio'
import type { McpServing } from './contract.ts'

/**
 * Serves MCP on this process's stdin and stdout until stdin ends, the client's end of stdout is gone, or `signal` aborts. Closes the service then:
 * calls in flight have their signal aborted and get no answer; threads they spawned go on in their host.
 *
 * From the first moment stdout carries the protocol only: whatever else this process prints, `console.log` of a tool included, goes to stderr.
 */
export async function serveMcpStdio(serving: McpServing, signal: AbortSignal): Promise<void> {
  const protocol = claimStdout()
  const ended = Promise.withResolvers<void>()
  const end = (): void => ended.resolve()
  for (const event of ['end', 'close', 'error'] as const) process.stdin.once(event, end)
  process.stdout.on('error', end)
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  const transport = new StdioServerTransport(process.stdin, protocol)
  const changes = createChangeFeed(serving)
  const handle = serveStdio(changes.factory, {
    transport,
    onerror: (error) => void process.stderr.write(`kiwi mcp: ${error.message}\n`),
  })
  const receive = transport.onmessage
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the library's transport is no event target
  transport.onmessage = (message) => {
    changes.received(message)
    receive?.(message)
  }
  try {
    await ended.promise
  } finally {
    await serving.close()
    await handle.close()
    process.stdin.destroy()
  }
}

interface ChangeFeed {
  readonly factory: (context: McpRequestContext) => Server
  received(message: JSONRPCMessage): void
}

/**
 * Feeds what changes to the connection while the client listens. The library answers `subscriptions/listen` of the newer era by itself, and sends
 * on what the server of the connection says, to those who asked for it; it only never says that there is somebody.
 */
function createChangeFeed(serving: McpServing): ChangeFeed {
  const listens = new Set<string | number>()
  let server: Server | null = null
  let stops: readonly (() => void)[] = []
  // A connection that has ended cannot be told, and ends this process.
  const start = (): readonly (() => void)[] => [
    serving.onResourceUpdated((uri) => void server?.sendResourceUpdated({ uri }).catch(() => undefined)),
    serving.onResourceListChanged(() => void server?.sendResourceListChanged().catch(() => undefined)),
  ]
  const stop = (): void => {
    for (const one of stops) one()
    stops = []
  }
  return {
    factory(context) {
      const made = serving.factory(context)
      server = context.era === 'modern' ? made : null
      return made
    },
    received(message) {
      if (!('method' in message)) return
      if (message.method === 'subscriptions/listen' && 'id' in message) {
        listens.add(message.id)
        if (stops.length === 0) stops = start()
      } else if (message.method === 'notifications/cancelled') {
        const cancelled = message.params?.['requestId']
        if (typeof cancelled !== 'string' && typeof cancelled !== 'number') return
        if (listens.delete(cancelled) && listens.size === 0) stop()
      }
    },
  }
}

/** Takes stdout away from everybody else and gives the only stream that still writes to it. */
function claimStdout(): Writable {
  const write = process.stdout.write.bind(process.stdout)
  const protocol = new Writable({
    decodeStrings: false,
    write: (chunk: string | Buffer, encoding, done) => void write(chunk, encoding, done),
  })
  protocol.on('error', () => undefined) // the same failure arrives as stdout's own `error`, which ends the server
  process.stdout.write = process.stderr.write.bind(process.stderr)
  globalThis.console = new Console(process.stderr, process.stderr)
  return protocol
}
