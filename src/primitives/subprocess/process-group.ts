import { type ChildProcess, spawn } from 'node:child_process'
import { createBoundedOutput, type KeptOutput } from './bounded-output.ts'

/** One process to start, as the system is given it. */
export interface ProcessStart {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Absolute. */
  readonly cwd: string
  /** Null closes the child's input at once. */
  readonly stdin: string | null
  /** Descriptors that the child gets as 3, 4, … */
  readonly inherit: readonly number[]
  readonly timeoutMs: number
  /** For stdout and stderr each. */
  readonly maxOutputBytes: number
  /** Asked now and then; true ends the process. */
  readonly isOverLimit: () => boolean
}

export type StopReason = 'timeout' | 'abort' | 'processes'

/** How a process ended. `stoppedBy` is set when we ended it. */
export interface ProcessEnd {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stoppedBy: StopReason | null
  /** Set when the process could not be started at all. */
  readonly startError: Error | null
  readonly stdout: KeptOutput
  readonly stderr: KeptOutput
}

/** From SIGTERM to SIGKILL: long enough to write a file, short enough for a cancel to feel immediate. */
const TERMINATION_GRACE_MS = 2_000
/** How long output may still arrive after the process is gone and its group is killed: only a process that left the group can hold it. */
const DRAIN_GRACE_MS = 500
/** A process that only multiplies makes some hundred in this time. */
const LIMIT_CHECK_MS = 100

/**
 * Runs one process as the leader of its own group and leaves nothing of that group behind, however it ends.
 *
 * Timeout and abort send SIGTERM to the group, then SIGKILL; a process that ended by itself has the rest of its group killed. No shell.
 * Output beyond the cap is counted, not kept. Never rejects.
 */
export async function runProcessGroup(config: ProcessStart, signal: AbortSignal | undefined): Promise<ProcessEnd> {
  const stdout = createBoundedOutput(config.maxOutputBytes)
  const stderr = createBoundedOutput(config.maxOutputBytes)
  let child: ChildProcess
  try {
    child = spawn(config.command, [...config.args], {
      cwd: config.cwd,
      env: config.env,
      shell: false,
      detached: true,
      stdio: [config.stdin === null ? 'ignore' : 'pipe', 'pipe', 'pipe', ...config.inherit],
    })
  } catch (error) {
    const startError = error instanceof Error ? error : new Error(String(error))
    return { exitCode: null, signal: null, stoppedBy: null, startError, stdout: stdout.finish(), stderr: stderr.finish() }
  }
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A child that never reads its input, or ends before it did, is not an error of ours.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(config.stdin ?? '')
  const end = await superviseChild(child, { timeoutMs: config.timeoutMs, isOverLimit: config.isOverLimit, signal })
  return { ...end, stdout: stdout.finish(), stderr: stderr.finish() }
}

async function superviseChild(
  child: ChildProcess,
  {
    timeoutMs,
    isOverLimit,
    signal,
  }: Pick<ProcessStart, 'timeoutMs' | 'isOverLimit'> & { readonly signal: AbortSignal | undefined },
): Promise<Omit<ProcessEnd, 'stdout' | 'stderr'>> {
  let stoppedBy: StopReason | null = null
  let killTimer: NodeJS.Timeout | undefined
  const stop = (reason: StopReason): void => {
    if (stoppedBy !== null) return
    stoppedBy = reason
    killGroup(child, 'SIGTERM')
    killTimer = setTimeout(() => killGroup(child, 'SIGKILL'), TERMINATION_GRACE_MS)
  }
  const limitCheck = setInterval(() => {
    if (isOverLimit()) stop('processes')
  }, LIMIT_CHECK_MS)
  const onAbort = (): void => stop('abort')
  const timeout = setTimeout(() => stop('timeout'), timeoutMs)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted === true) onAbort()
  try {
    const { exitCode, signal: exitSignal, startError } = await exitOf(child)
    // Whoever is left in the group would outlive its tool.
    killGroup(child, 'SIGKILL')
    await drained(child)
    return { exitCode, signal: exitSignal, stoppedBy, startError }
  } finally {
    clearTimeout(timeout)
    clearTimeout(killTimer)
    clearInterval(limitCheck)
    signal?.removeEventListener('abort', onAbort)
  }
}

async function exitOf(
  child: ChildProcess,
): Promise<{ exitCode: number | null; signal: string | null; startError: Error | null }> {
  return await new Promise((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal, startError: null }))
    // After a start, 'error' only reports a signal that could not be sent; exit still follows.
    child.on('error', (error) => {
      if (child.pid === undefined) resolve({ exitCode: null, signal: null, startError: error })
    })
  })
}

async function drained(child: ChildProcess): Promise<void> {
  const streams = [child.stdout, child.stderr].filter((stream) => stream !== null && !stream.closed && !stream.destroyed)
  const closed = Promise.all(streams.map(async (stream) => await new Promise<void>((resolve) => stream?.once('close', resolve))))
  const late = setTimeout(() => streams.forEach((stream) => stream?.destroy()), DRAIN_GRACE_MS)
  await closed
  clearTimeout(late)
}

function killGroup(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // ESRCH: the whole group is gone already, which is what was wanted.
  }
}
