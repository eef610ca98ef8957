import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client'
import type { OpenedProcess, OpenedProcessEnd } from '../../primitives/subprocess/contract.ts'
import type { FrameGuard } from './frame-guard.ts'
import type { StdioTarget } from './target.ts'

export interface StdioTransport extends Transport {
  /** Resolves with how the process ended; never, while it was not started. */
  readonly ended: Promise<OpenedProcessEnd>
  // The client of the SDK knows a process by these two names, and then takes silence for an older server instead of an outage.
  readonly stderr: null
  readonly pid: null
}

export interface StdioTransportOptions {
  readonly target: StdioTarget
  readonly guard: FrameGuard
  readonly maxMessageBytes: number
  /** Ends the process. */
  readonly signal: AbortSignal
}

/** More than this waiting to be read by the server means that it does not read. */
const MAX_UNREAD_BYTES = 64 * 1024 * 1024

const LAST_WORDS_MS = 1_000
/** Many servers greet on the wrong stream before they speak. */
const MAX_BANNER_LINES = 100

/** Messages as lines of a sandboxed process. The process is started with the transport and gone when `close` resolves. */
export function createStdioTransport(options: StdioTransportOptions): StdioTransport {
  const { guard } = options
  const { open, process: description } = options.target
  const { promise: ended, resolve: resolveEnded } = Promise.withResolvers<OpenedProcessEnd>()
  let opened: OpenedProcess | null = null
  let unreadBytes = 0
  let hasSpoken = false
  let bannerLines = 0
  const isBanner = (line: string): boolean => {
    hasSpoken ||= /^\s*[{[]/u.test(line) || bannerLines >= MAX_BANNER_LINES
    bannerLines += 1
    return !hasSpoken
  }

  const transport: StdioTransport = {
    stderr: null,
    pid: null,
    ended,
    async start() {
      opened = await open({
        ...description,
        maxLineBytes: options.maxMessageBytes,
        signal: options.signal,
        onLine(line) {
          if (line === '') return guard.noise(1, 1)
          if (isBanner(line)) return guard.noise(1, Buffer.byteLength(line))
          const message = guard.message(line)
          if (message !== null) transport.onmessage?.(message)
        },
      })
      void opened.ended.then(resolveEnded)
      void ended.then(() => transport.onclose?.())
    },
    async send(message: JSONRPCMessage) {
      if (opened === null) throw new Error('The server was not started.')
      const line = JSON.stringify(message)
      const bytes = Buffer.byteLength(line)
      if (unreadBytes + bytes > MAX_UNREAD_BYTES) throw new Error('The server does not read what it is sent.')
      unreadBytes += bytes
      try {
        await opened.write(line)
      } catch (error) {
        await endsSoon(ended)
        throw error
      } finally {
        unreadBytes -= bytes
      }
    },
    async close() {
      await opened?.close()
    },
  }
  return transport
}

/** A process that takes no more input is usually about to end, and how it ended says more: so that is known first. */
async function endsSoon(ended: Promise<unknown>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, LAST_WORDS_MS)
  await Promise.race([ended, late])
  clearTimeout(timer)
}
