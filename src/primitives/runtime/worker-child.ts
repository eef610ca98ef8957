import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { WrappedCommand } from '../sandbox/contract.ts'
import { createFrameReader, encodeFrame } from './worker/frames.ts'
import { type HostMessage, MAX_MESSAGE_BYTES } from './worker/messages.ts'
import { killGroup } from '../subprocess/process-group.ts'

/** The process of a worker and its pipes. */
export interface WorkerChild {
  readonly send: (message: HostMessage) => void
  /** Kills the process and everything in its sandbox; the first reason is the one that counts. */
  end(reason: string): void
  /** Null while it runs. */
  ended(): string | null
  /** Whether this process waits for that one. */
  hold(held: boolean): void
  /** Resolves when nothing of it is left. Never rejects. */
  readonly gone: Promise<void>
}

export interface WorkerChildEvents {
  /** A message of the length that its JSON had, not checked yet. */
  readonly onMessage: (message: unknown, bytes: number) => void
  readonly onOutput: (piece: Buffer) => void
  /** Once, after the last message and the last output. */
  readonly onGone: (reason: string) => void
}

/** Starts the process. One that cannot be started is one that has ended. `wrapped` is disposed of when it is gone. */
export function startChild(wrapped: WrappedCommand, { onMessage, onOutput, onGone }: WorkerChildEvents): WorkerChild {
  const { command, args, env, cwd, inherit } = wrapped
  let child: ChildProcess
  try {
    child = spawn(command, [...args], { cwd, env, detached: true, stdio: ['pipe', 'pipe', 'pipe', ...inherit] })
  } catch (error) {
    return neverStarted(wrapped, error, onGone)
  }
  const gone = Promise.withResolvers<void>()
  let reasonOfEnd: string | null = null

  const hold = (held: boolean): void => {
    // The pipes of a child are sockets; the type only promises streams.
    const sockets = [child.stdin, child.stdout, child.stderr].filter((stream) => stream instanceof Socket)
    for (const owner of [child, ...sockets]) {
      if (held) owner.ref()
      else owner.unref()
    }
  }
  const end = (reason: string): void => {
    if (reasonOfEnd !== null) return
    reasonOfEnd = reason
    // Whoever ends waits for what was killed.
    hold(true)
    // A sandbox that is still being set up does not follow its outer process yet.
    killGroup(child, 'SIGKILL')
    child.stdin?.destroy()
    child.stdout?.destroy()
  }
  const finish = (): void => {
    onGone(reasonOfEnd ?? 'it ended')
    // What a sandbox leaves behind is not an outcome of a call.
    void wrapped.dispose().then(
      () => gone.resolve(),
      () => gone.resolve(),
    )
  }
  child.stderr?.on('data', onOutput)
  child.on('error', (error) => {
    end(`it could not be started (${error.message})`)
    if (child.pid === undefined) finish()
  })
  child.on('exit', (code, signal) => end(signal === null ? `it ended with exit code ${code}` : `it was ended by ${signal}`))
  child.on('close', () => {
    if (child.pid !== undefined) finish()
  })
  // A broken pipe is told by the end of the process.
  child.stdin?.on('error', () => undefined)
  readFrames(child.stdout, onMessage, (problem) => end(`it sent what is no message (${problem})`))
  return {
    send(message) {
      if (child.stdin?.writable === true) child.stdin.write(encodeFrame(message))
    },
    end,
    ended: () => reasonOfEnd,
    hold,
    gone: gone.promise,
  }
}

/** What the system refuses at once (a command line that is too long) is thrown, not told by an event. */
function neverStarted(wrapped: WrappedCommand, error: unknown, onGone: WorkerChildEvents['onGone']): WorkerChild {
  const reason = `it could not be started (${error instanceof Error ? error.message : String(error)})`
  const ended = async (): Promise<void> => {
    await wrapped.dispose().catch(() => undefined)
    onGone(reason)
  }
  return { send: () => undefined, end: () => undefined, ended: () => reason, hold: () => undefined, gone: ended() }
}

function readFrames(
  output: Readable | null,
  onMessage: WorkerChildEvents['onMessage'],
  onProblem: (problem: string) => void,
): void {
  const read = createFrameReader(MAX_MESSAGE_BYTES, onMessage)
  output?.on('data', (piece: Buffer) => {
    try {
      read(piece)
    } catch (error) {
      onProblem(error instanceof Error ? error.message : String(error))
    }
  })
  output?.on('error', () => undefined)
}
