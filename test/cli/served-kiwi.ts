import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { startKiwi, type RunOptions } from './kiwi-process.ts'

/** A `kiwi serve` that runs in a process of its own. */
export interface ServedKiwi {
  /** Of the MCP endpoint. */
  readonly url: string
  readonly port: number
  readonly token: string
  /** As Ctrl-C does it. */
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 30_000

/** Starts the real server on any port that is free, and waits until it says where it is. */
export async function startServe(options: RunOptions): Promise<ServedKiwi> {
  const child = startKiwi(['serve', '--port', '0', '--output', 'json'], options)
  const ended = once(child, 'exit')
  const log: string[] = []
  child.stderr.on('data', (chunk: Buffer) => log.push(chunk.toString()))
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
  }
  try {
    const lines = createInterface({ input: child.stdout })
    const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(START_TIMEOUT_MS) })
    // The one line that the verb prints as JSON.
    const announced = JSON.parse(String(line)) as { readonly url: string; readonly port: number; readonly token_file: string }
    const token = readFileSync(announced.token_file, 'utf8').trim()
    return { url: announced.url, port: announced.port, token, stop }
  } catch (error) {
    await stop()
    throw new Error(`kiwi serve did not start: ${log.join('')}`, { cause: error })
  }
}
