/**
 * Warm workers.
 *
 * L1. A worker serves one call at a time, and is used again only for the same key: grant, code, place and kind of sandbox.
 * L2. At most `maxWorkers` are alive. Idle ones make room, least recently used first; while all are busy, calls wait in order.
 * L3. What is idle for `idleMs` ends.
 */
import type { WorkerProcess } from './worker-process.ts'

export interface WorkerPool {
  /**
   * Runs `use` with a worker that is its own until it settles; `start` makes one where none is warm. The answer to `use` says nothing about
   * the worker: it is kept when it is still usable.
   *
   * @throws {Error} what `start` throws; an AbortError when `signal` aborts, or a TimeoutError when it took `timeoutMs`, while waiting for room.
   */
  use<T>(request: PoolRequest, use: (worker: WorkerProcess) => Promise<T>): Promise<T>
  /** Kills all and starts no more. Resolves when they are gone. */
  close(): Promise<void>
}

export interface PoolRequest {
  readonly key: string
  /** Resolves to a worker that has loaded its tool. */
  readonly start: () => Promise<WorkerProcess>
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

export interface PoolOptions {
  readonly maxWorkers: number
  readonly idleMs: number
}

interface Idle {
  readonly key: string
  readonly worker: WorkerProcess
  readonly timer: NodeJS.Timeout
}

export function createWorkerPool({ maxWorkers, idleMs }: PoolOptions): WorkerPool {
  // Least recently used first.
  const idle: Idle[] = []
  const alive = new Set<WorkerProcess>()
  const waiting: (() => void)[] = []
  let starting = 0
  let closed = false

  const hasRoom = (): boolean => alive.size + starting < maxWorkers
  const takeOut = (entry: Idle): WorkerProcess => {
    clearTimeout(entry.timer)
    idle.splice(idle.indexOf(entry), 1)
    return entry.worker
  }
  const next = (): void => waiting.shift()?.()
  const takeWarm = (key: string): WorkerProcess | null => {
    for (const entry of idle.filter((candidate) => candidate.key === key).toReversed()) {
      const worker = takeOut(entry)
      if (!worker.usable()) continue
      worker.hold(true)
      return worker
    }
    return null
  }

  const begin = async (start: PoolRequest['start']): Promise<WorkerProcess> => {
    starting += 1
    try {
      const worker = await start()
      alive.add(worker)
      void worker.gone.finally(() => {
        alive.delete(worker)
        next()
      })
      if (closed) worker.kill('the pool was closed')
      return worker
    } catch (error) {
      next()
      throw error
    } finally {
      starting -= 1
    }
  }

  const acquire = async (request: PoolRequest): Promise<WorkerProcess> => {
    for (;;) {
      if (closed) throw new Error('The pool of workers is closed.')
      const warm = takeWarm(request.key)
      if (warm !== null) return warm
      if (hasRoom()) return await begin(request.start)
      const [oldest] = idle
      // L2: its place is free when it is gone.
      if (oldest !== undefined) takeOut(oldest).kill('another tool needed its place')
      await room(waiting, request)
    }
  }

  const release = (key: string, worker: WorkerProcess): void => {
    if (!worker.usable() || closed) {
      worker.kill('it was no longer needed')
      return
    }
    worker.hold(false)
    // L3
    const timer = setTimeout(() => takeOut(entry).kill('it was idle'), idleMs)
    timer.unref()
    const entry = { key, worker, timer }
    idle.push(entry)
    next()
  }

  return {
    async use(request, use) {
      const worker = await acquire(request)
      try {
        return await use(worker)
      } finally {
        release(request.key, worker)
      }
    },
    async close() {
      closed = true
      const all = [...alive]
      for (const { timer } of idle.splice(0)) clearTimeout(timer)
      for (const worker of all) worker.kill('the pool was closed')
      for (const wake of waiting.splice(0)) wake()
      await Promise.all(all.map(async (worker) => await worker.gone))
    },
  }
}

/** Resolves when it is this caller's turn to look for room again. */
async function room(waiting: (() => void)[], { timeoutMs, signal }: PoolRequest): Promise<void> {
  const turn = Promise.withResolvers<void>()
  const wake = (): void => turn.resolve()
  const stop = (name: 'AbortError' | 'TimeoutError') => (): void => {
    const at = waiting.indexOf(wake)
    if (at !== -1) waiting.splice(at, 1)
    turn.reject(new DOMException('No worker was free.', name))
  }
  const timer = setTimeout(stop('TimeoutError'), timeoutMs)
  const onAbort = stop('AbortError')
  signal?.addEventListener('abort', onAbort, { once: true })
  waiting.push(wake)
  try {
    await turn.promise
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}
