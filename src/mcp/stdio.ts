import { Console } from 'node:console'
import { Writable } from 'node:stream'
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio'
import type { McpServing } from './contract.ts'

/**
 * Serves MCP on this process's stdin and stdout until stdin ends, the client's end of stdout is gone, or `signal` aborts. Calls in flight then
 * have their signal aborted and get no answer; threads they spawned go on in their host.
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
  const handle = serveStdio(serving.factory, {
    transport: new StdioServerTransport(process.stdin, protocol),
    onerror: (error) => void process.stderr.write(`kiwi mcp: ${error.message}\n`),
  })
  try {
    await ended.promise
  } finally {
    await serving.close()
    await handle.close()
    process.stdin.destroy()
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
