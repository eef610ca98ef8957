/**
 * One worker: a process that has loaded one tool, and the calls that it is in.
 *
 * P1. Everything that comes from a worker may have been written by the tool: it is bounded before it is parsed and checked before it is used.
 * P2. A worker that said something it should not, or was told to stop, is killed and never used again.
 * P3. A worker that waits for its next call keeps no process alive.
 */
import type { WrappedCommand } from '../sandbox/contract.ts'
import { createBoundedOutput } from '../subprocess/bounded-output.ts'
import type { ToolFetch } from './contract.ts'
import { serveFetches } from './served-fetches.ts'
import { type HostMessage, MAX_RESULT_BYTES, type Thrown, type WorkerAction, type WorkerMessage } from './worker/messages.ts'
import { startChild } from './worker-child.ts'
import { readWorkerMessage } from './worker-message.ts'

/** How a call ended. After `ended`, `timeout` and `aborted` the worker is not used again. */
export type WorkerAnswer = { readonly kind: 'value'; readonly value: unknown } | WorkerFailure

export type LoadAnswer = { readonly kind: 'loaded'; readonly callable: boolean } | WorkerFailure

export type WorkerFailure =
  /** The tool threw. */
  | ({ readonly kind: 'failed' } & Thrown)
  | { readonly kind: 'unserialisable'; readonly message: string }
  /** The process is gone, and why. */
  | { readonly kind: 'ended'; readonly message: string }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'aborted' }

export interface WorkerBounds {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

export interface WorkerProcess {
  /** Once, before the first call. */
  load(message: Extract<HostMessage, { type: 'load' }>, bounds: WorkerBounds): Promise<LoadAnswer>
  call(action: WorkerAction, input: unknown, bounds: WorkerBounds): Promise<WorkerAnswer>
  /** Aborts the signal of an open sink. */
  abortSink(reason: string): void
  /** What the tool printed since the last `run` or `open` began, beginning and end of it. */
  output(): string
  /** What the tool is told as `projectPath`. */
  readonly projectPath: string
  /** False once it must not be used again. */
  usable(): boolean
  /** P3 */
  hold(held: boolean): void
  kill(reason: string): void
  /** Resolves when nothing of it is left. Never rejects. */
  readonly gone: Promise<void>
}

export interface WorkerStart {
  readonly wrapped: WrappedCommand
  /** What the tool is told as `projectPath`. */
  readonly projectPath: string
  readonly fetch: ToolFetch
}

type Answer = WorkerAnswer | LoadAnswer
type Settle = (answer: Answer) => void

const MAX_OUTPUT_BYTES = 16 * 1024
/** From the abort to the kill: enough to let go of a file, too short to go on. */
const STOP_GRACE_MS = 250
/** Room for the head of a result around the result itself. */
const MAX_HEAD_BYTES = 64
/** Loading is a question like a call; calls count from 1. */
const LOAD_ID = 0

export function startWorker({ wrapped, projectPath, fetch }: WorkerStart): WorkerProcess {
  const pending = new Map<number, Settle>()
  let output = createBoundedOutput(MAX_OUTPUT_BYTES)
  let stopped = false
  let lastId = LOAD_ID
  let sinkId = LOAD_ID
  const child = startChild(wrapped, {
    onMessage: (message, bytes) => receive(message, bytes),
    onOutput: (piece) => output.push(piece),
    onGone(message) {
      fetches.abortAll()
      for (const settle of pending.values()) settle({ kind: 'ended', message })
      pending.clear()
    },
  })
  const fetches = serveFetches(fetch, child.send)

  const receive = (raw: unknown, bytes: number): void => {
    const message = readWorkerMessage(raw)
    // P1
    if (message === null) return child.end('it sent what is no message')
    if (message.type === 'fetch_abort') return fetches.abort(message.id)
    if (message.type === 'fetch') {
      if (pending.size > 0) return fetches.begin(message.id, message.request)
      return fetches.refuse(message.id, 'a tool may use the network only during a call.')
    }
    const id = 'id' in message ? message.id : LOAD_ID
    const settle = pending.get(id)
    // P2
    if (settle === undefined) return child.end('it answered a call that is not open')
    if (bytes > MAX_RESULT_BYTES + MAX_HEAD_BYTES) return child.end('its answer is too long')
    pending.delete(id)
    if (pending.size === 0) fetches.abortAll()
    settle(answerOf(message))
  }

  const ask = async (message: Extract<HostMessage, { type: 'load' | 'call' }>, bounds: WorkerBounds): Promise<Answer> => {
    const reason = child.ended()
    if (reason !== null || stopped) return { kind: 'ended', message: reason ?? 'it was stopped' }
    const id = message.type === 'call' ? message.id : LOAD_ID
    const answered = Promise.withResolvers<Answer>()
    const stop = (kind: 'timeout' | 'aborted'): void => {
      // P2
      stopped = true
      pending.delete(id)
      answered.resolve({ kind })
      child.send({ type: 'abort', id, reason: kind === 'timeout' ? 'The call took too long.' : 'The call was cancelled.' })
      fetches.abortAll()
      setTimeout(() => child.end('it was stopped'), STOP_GRACE_MS)
    }
    pending.set(id, answered.resolve)
    child.send(message)
    return await bounded(answered.promise, stop, bounds)
  }

  const confused = (): WorkerFailure => {
    const message = 'it gave the answer to another question'
    child.end(message)
    return { kind: 'ended', message }
  }

  return {
    async load(message, bounds) {
      const answer = await ask(message, bounds)
      return answer.kind === 'value' ? confused() : answer
    },
    async call(action, input, bounds) {
      lastId += 1
      if (action === 'open') sinkId = lastId
      if (action === 'run' || action === 'open') output = createBoundedOutput(MAX_OUTPUT_BYTES)
      const answer = await ask({ type: 'call', id: lastId, action, input, projectPath }, bounds)
      return answer.kind === 'loaded' ? confused() : answer
    },
    abortSink: (reason) => child.send({ type: 'abort', id: sinkId, reason }),
    output: () => output.finish().text,
    projectPath,
    usable: () => child.ended() === null && !stopped,
    hold: (held) => child.hold(held),
    kill: (reason) => child.end(reason),
    gone: child.gone,
  }
}

async function bounded(
  answer: Promise<Answer>,
  stop: (kind: 'timeout' | 'aborted') => void,
  { timeoutMs, signal }: WorkerBounds,
): Promise<Answer> {
  const timer = setTimeout(() => stop('timeout'), timeoutMs)
  const onAbort = (): void => stop('aborted')
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted === true) onAbort()
  try {
    return await answer
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

function answerOf(message: Exclude<WorkerMessage, { type: 'fetch' | 'fetch_abort' }>): Answer {
  switch (message.type) {
    case 'loaded':
      return { kind: 'loaded', callable: message.callable }
    case 'result':
      return { kind: 'value', value: message.value ?? null }
    case 'unserialisable':
      return { kind: 'unserialisable', message: message.message }
    case 'load_failed':
    case 'failed':
      return { kind: 'failed', name: message.name, message: message.message, denial: message.denial }
  }
}
