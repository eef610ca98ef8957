import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

/** One process to start, as the system is given it. */
export interface GroupStart {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Absolute. */
  readonly cwd: string
  /** `ignore` closes the child's input at once. */
  readonly input: 'ignore' | 'pipe'
  /** Descriptors that the child gets as 3, 4, … */
  readonly inherit: readonly number[]
  /** Asked now and then; a reason ends the process. */
  readonly watch: () => StopReason | null
}

export type StopReason = 'timeout' | 'abort' | 'processes' | 'close' | 'line_too_long' | 'too_many_lines'

/** A process as the leader of its own group. The streams are null when it could not be started, and stdin when there is none. */
export interface ProcessGroup {
  readonly stdin: Writable | null
  readonly stdout: Readable | null
  readonly stderr: Readable | null
  /** SIGTERM to the group, then SIGKILL. The first reason is the one that counts. */
  stop(reason: StopReason): void
  /** Resolves with null as soon as the process exists, or with why there is none. Never rejects. */
  readonly started: Promise<Error | null>
  /** Resolves when nothing of the group is left and its output is at its end. Never rejects. */
  readonly ended: Promise<GroupEnd>
}

/** How a process ended. `stoppedBy` is set when we ended it. */
export interface GroupEnd {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stoppedBy: StopReason | null
  /** Set when the process could not be started at all. */
  readonly startError: Error | null
}

/** From SIGTERM to SIGKILL: long enough to write a file, short enough for a cancel to feel immediate. */
const TERMINATION_GRACE_MS = 2_000
/** How long output may still arrive after the process is gone and its group is killed: only a process that left the group can hold it. */
const DRAIN_GRACE_MS = 500
/** A process that only multiplies makes some hundred in this time. */
const WATCH_MS = 100

/** Leaves nothing of the group behind, however the process ends: one that ended by itself has the rest of its group killed. No shell. */
export function startProcessGroup({ command, args, env, cwd, input, inherit, watch }: GroupStart): ProcessGroup {
  let child: ChildProcess
  try {
    child = spawn(command, [...args], { cwd, env, shell: false, detached: true, stdio: [input, 'pipe', 'pipe', ...inherit] })
  } catch (error) {
    return neverStarted(error instanceof Error ? error : new Error(String(error)))
  }
  let stoppedBy: StopReason | null = null
  let killTimer: NodeJS.Timeout | undefined
  const stop = (reason: StopReason): void => {
    if (stoppedBy !== null) return
    stoppedBy = reason
    killGroup(child, 'SIGTERM')
    killTimer = setTimeout(() => killGroup(child, 'SIGKILL'), TERMINATION_GRACE_MS)
  }
  const watching = setInterval(() => {
    const reason = watch()
    if (reason !== null) stop(reason)
  }, WATCH_MS)
  const exit = exitOf(child)
  const supervise = async (): Promise<GroupEnd> => {
    try {
      const { exitCode, signal, startError } = await exit
      // Whoever is left in the group would outlive its tool.
      killGroup(child, 'SIGKILL')
      await drained(child)
      return { exitCode, signal, stoppedBy, startError }
    } finally {
      clearTimeout(killTimer)
      clearInterval(watching)
    }
  }
  const { stdin, stdout, stderr } = child
  // A child that never reads its input, or ends before it did, is not an error of ours.
  stdin?.on('error', () => undefined)
  return { stdin, stdout, stderr, stop, started: startOf(child), ended: supervise() }
}

/** What the system refuses at once (a command line that is too long) is thrown, not told by an event. */
function neverStarted(startError: Error): ProcessGroup {
  return {
    stdin: null,
    stdout: null,
    stderr: null,
    stop: () => undefined,
    started: Promise.resolve(startError),
    ended: Promise.resolve({ exitCode: null, signal: null, stoppedBy: null, startError }),
  }
}

async function startOf(child: ChildProcess): Promise<Error | null> {
  return await new Promise((resolve) => {
    child.once('spawn', () => resolve(null))
    child.once('error', resolve)
  })
}

async function exitOf(child: ChildProcess): Promise<Omit<GroupEnd, 'stoppedBy'>> {
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

/** Signals a process that was started as the leader of a group of its own, and all that is in it. */
export function killGroup(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // ESRCH: the whole group is gone already, which is what was wanted.
  }
}
