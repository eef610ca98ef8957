import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
}

export const BIN: string = fileURLToPath(new URL('../../bin/kiwi.js', import.meta.url))
const TIMEOUT_MS = 90_000

/** Starts the real command line with nothing of the caller's own environment but the path. */
export function startKiwi(args: readonly string[], { cwd, env = {} }: RunOptions): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [BIN, ...args], { cwd, env: { PATH: process.env['PATH'], ...env } })
}

/** Runs one verb to its end; a run that hangs is killed, and its code is then null. */
export async function kiwi(args: readonly string[], options: RunOptions): Promise<Finished> {
  const child = startKiwi(args, options)
  child.stdin.on('error', () => undefined) // a verb need not read its stdin
  child.stdin.end(options.stdin ?? '')
  return finished(child)
}

/** What a started command had printed when it ended. */
export async function finished(child: ChildProcessWithoutNullStreams): Promise<Finished> {
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  await once(child, 'close')
  clearTimeout(timer)
  return { code: child.exitCode, stdout: stdout(), stderr: stderr() }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return () => Buffer.concat(chunks).toString()
}
