import { McpFailure } from './contract.ts'

export interface LaneRequest {
  /** Calls of this lane at one time, as this caller sees it. */
  readonly limit: number
  /** Longest wait in milliseconds. */
  readonly timeoutMs: number
  /** For messages and facts. */
  readonly server: string
  readonly signal?: AbortSignal | undefined
}

/** Calls of one server at one time: first come, first served. */
export interface CallLanes {
  /**
   * Resolves with the function that gives the place back (idempotent).
   *
   * @throws {McpFailure} LIMIT_EXCEEDED {server, queued} when too many wait already, TIMEOUT, ABORTED; no place is held then.
   */
  enter(lane: string, request: LaneRequest): Promise<() => void>
}

interface Lane {
  active: number
  readonly queue: Waiting[]
}

interface Waiting {
  readonly limit: number
  readonly admit: () => void
}

export function createCallLanes({ maxQueued = 64 }: { readonly maxQueued?: number } = {}): CallLanes {
  const lanes = new Map<string, Lane>()

  const leave = (name: string, lane: Lane): void => {
    lane.active -= 1
    for (let next = lane.queue[0]; next !== undefined && lane.active < next.limit; next = lane.queue[0]) {
      lane.queue.shift()
      next.admit()
    }
    if (lane.active === 0 && lane.queue.length === 0) lanes.delete(name)
  }

  const taken = (name: string, lane: Lane): (() => void) => {
    lane.active += 1
    let isHeld = true
    return () => {
      if (isHeld) leave(name, lane)
      isHeld = false
    }
  }

  return {
    async enter(name, { limit, timeoutMs, server, signal }) {
      const lane = lanes.get(name) ?? { active: 0, queue: [] }
      lanes.set(name, lane)
      if (lane.queue.length === 0 && lane.active < limit) return taken(name, lane)
      if (lane.queue.length >= maxQueued) throw tooMany(server, lane)
      const { promise, resolve, reject } = Promise.withResolvers<() => void>()
      const waiting: Waiting = { limit, admit: () => resolve(taken(name, lane)) }
      const giveUp = (failure: McpFailure): void => {
        const at = lane.queue.indexOf(waiting)
        if (at >= 0) lane.queue.splice(at, 1)
        reject(failure)
      }
      lane.queue.push(waiting)
      const onAbort = (): void =>
        giveUp(new McpFailure('ABORTED', `The call of the MCP server "${server}" was cancelled while it waited.`))
      const timer = setTimeout(() => giveUp(tooLong(server, timeoutMs)), timeoutMs)
      if (signal?.aborted === true) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
      try {
        return await promise
      } finally {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
    },
  }
}

function tooMany(server: string, { active, queue }: Lane): McpFailure {
  return new McpFailure(
    'LIMIT_EXCEEDED',
    `The MCP server "${server}" has ${active} calls running and ${queue.length} waiting; no more may wait. Try again when some have ended.`,
    { retryable: true, detail: { server, queued: queue.length } },
  )
}

function tooLong(server: string, timeoutMs: number): McpFailure {
  return new McpFailure(
    'TIMEOUT',
    `The call of the MCP server "${server}" waited ${timeoutMs} ms for its turn and was not sent: other calls of that server are still running.`,
    { retryable: true, detail: { server, timeout_ms: timeoutMs } },
  )
}
