import { createBoundedOutput, type KeptOutput } from './bounded-output.ts'
import { type GroupEnd, type GroupStart, startProcessGroup } from './process-group.ts'

/** One process to run to its end. */
export interface ProcessStart extends Omit<GroupStart, 'input'> {
  /** Null closes the child's input at once. */
  readonly stdin: string | null
  readonly timeoutMs: number
  /** For stdout and stderr each. */
  readonly maxOutputBytes: number
}

/** How a process ended and what it wrote. */
export interface ProcessEnd extends GroupEnd {
  readonly stdout: KeptOutput
  readonly stderr: KeptOutput
}

/** Runs one process and leaves nothing of its group behind, however it ends. Output beyond the cap is counted, not kept. Never rejects. */
export async function runProcess(config: ProcessStart, signal: AbortSignal | undefined): Promise<ProcessEnd> {
  const stdout = createBoundedOutput(config.maxOutputBytes)
  const stderr = createBoundedOutput(config.maxOutputBytes)
  const group = startProcessGroup({ ...config, input: config.stdin === null ? 'ignore' : 'pipe' })
  group.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
  group.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
  group.stdin?.end(config.stdin ?? '')
  const onAbort = (): void => group.stop('abort')
  const timeout = setTimeout(() => group.stop('timeout'), config.timeoutMs)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted === true) onAbort()
  try {
    const end = await group.ended
    return { ...end, stdout: stdout.finish(), stderr: stderr.finish() }
  } finally {
    clearTimeout(timeout)
    signal?.removeEventListener('abort', onAbort)
  }
}
