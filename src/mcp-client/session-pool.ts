/**
 * Open sessions, for the next call of the same server under the same reach.
 *
 * P1. One session per key, however many callers come at once; a key says project, server, everything it is opened with, and the grant.
 * P2. Every session is closed once: idle, over, its grant dead, its place needed, its callers gone while it opened, or the pool closed.
 * P3. A server that failed is left alone for a while. A caller waits if half of its connect timeout is enough and trying again can help,
 *     and otherwise gets the last failure with `retry_after_ms`; nothing is sent before.
 */
import { type McpSession, McpFailure } from './contract.ts'
import { createCallLanes } from './call-lanes.ts'
import { createRestartBackoff, stillBackingOff } from './restart-backoff.ts'
import { abortable, aborted, waitFor } from './abortable.ts'

export interface SessionPoolOptions {
  /** Open and opening together. Default 32. */
  readonly maxSessions?: number
  /** Calls that wait for one server. Default 64. */
  readonly maxQueued?: number
  /** How often grants of open sessions are asked whether they still hold. Default 2,000. */
  readonly sweepMs?: number
  readonly nowMs: () => number
}

export interface PoolRequest {
  readonly server: string
  /** P1 */
  readonly key: string
  /** Calls with an equal lane take turns, `maxConcurrency` at one time. */
  readonly lane: string
  readonly maxConcurrency: number
  readonly open: (options: { readonly signal: AbortSignal; readonly connectTimeoutMs: number }) => Promise<McpSession>
  /** Whether the grant holds; equal keys have equal answers. */
  readonly isLive: () => boolean
  readonly connectTimeoutMs: number
  /** Longest wait for its turn. */
  readonly turnTimeoutMs: number
  readonly idleMs: number
  readonly signal?: AbortSignal | undefined
}

export interface SessionPool {
  /**
   * Calls `work` with the session, opened if need be. What `work` throws is thrown on.
   *
   * @throws {McpFailure} what opening throws; LIMIT_EXCEEDED, TIMEOUT, ABORTED.
   */
  use<T>(request: PoolRequest, work: (session: McpSession) => Promise<T>): Promise<T>
  /** Ends all sessions; resolves when they are gone. Further calls are refused. */
  close(): Promise<void>
}

interface Entry {
  readonly key: string
  readonly isLive: () => boolean
  readonly opened: Promise<McpSession>
  /** Ends the opening. */
  readonly controller: AbortController
  session: McpSession | null
  users: number
  lastUsedMs: number
  idleTimer: NodeJS.Timeout | undefined
}

export function createSessionPool(options: SessionPoolOptions): SessionPool {
  const { maxSessions = 32, maxQueued = 64, sweepMs = 2_000, nowMs } = options
  const entries = new Map<string, Entry>()
  const closings = new Set<Promise<unknown>>()
  const lanes = createCallLanes({ maxQueued })
  const backoff = createRestartBackoff(nowMs)
  const ending = new AbortController()
  let sweep: NodeJS.Timeout | undefined

  const forget = (entry: Entry): void => {
    clearTimeout(entry.idleTimer)
    if (entries.get(entry.key) === entry) entries.delete(entry.key)
    if (entries.size > 0) return
    clearInterval(sweep)
    sweep = undefined
  }
  /** P2 */
  const retire = (entry: Entry): void => {
    forget(entry)
    entry.controller.abort()
    const closing = entry.opened.then(async (session) => await session.close()).catch(() => undefined)
    closings.add(closing)
    void closing.then(() => closings.delete(closing))
  }
  const sweepDead = (): void => {
    for (const entry of entries.values()) if (!entry.isLive()) retire(entry)
  }
  const makeRoom = (server: string): void => {
    if (entries.size < maxSessions) return
    const [idle] = [...entries.values()].filter(({ users }) => users === 0).toSorted((a, b) => a.lastUsedMs - b.lastUsedMs)
    if (idle === undefined) throw noRoom(server, maxSessions)
    retire(idle)
  }

  /** Tells the backoff how the opening and the session ended, and forgets the entry then. Never rejects. */
  const watch = async (entry: Entry): Promise<void> => {
    const { key, controller } = entry
    try {
      entry.session = await entry.opened
    } catch (error) {
      forget(entry)
      if (error instanceof McpFailure && !controller.signal.aborted) backoff.failed(key, error)
      return
    }
    const openedMs = nowMs()
    const failure = await entry.session.ended
    forget(entry)
    if (failure === null) backoff.ended(key)
    else backoff.failed(key, failure, nowMs() - openedMs)
  }

  const openEntry = (request: PoolRequest, connectTimeoutMs: number): Entry => {
    const { key, server, isLive } = request
    makeRoom(server)
    const controller = new AbortController()
    const opened = request.open({ signal: controller.signal, connectTimeoutMs })
    const entry: Entry = { key, isLive, opened, controller, session: null, users: 0, lastUsedMs: nowMs(), idleTimer: undefined }
    entries.set(key, entry)
    sweep ??= setInterval(sweepDead, sweepMs).unref()
    void watch(entry)
    return entry
  }

  /** An entry that the caller is counted a user of. */
  const join = async (request: PoolRequest): Promise<Entry> => {
    const startedMs = nowMs()
    for (;;) {
      if (ending.signal.aborted) throw closed(request.server)
      sweepDead()
      if (!request.isLive()) throw noLongerLive(request.server)
      const known = entries.get(request.key)
      const standing = known === undefined ? backoff.standing(request.key) : null
      if (standing === null) {
        const entry = known ?? openEntry(request, Math.max(1, request.connectTimeoutMs - (nowMs() - startedMs)))
        entry.users += 1
        clearTimeout(entry.idleTimer)
        return entry
      }
      // P3
      const waitsTooLong = nowMs() - startedMs + standing.waitMs > request.connectTimeoutMs / 2
      if (waitsTooLong || !standing.failure.retryable) throw stillBackingOff(standing)
      // oxlint-disable-next-line no-await-in-loop -- whether it may be tried is asked again after the wait
      await waitFor(standing.waitMs, { server: request.server, signals: [request.signal, ending.signal] })
    }
  }

  const leave = (entry: Entry, idleMs: number): void => {
    entry.users -= 1
    entry.lastUsedMs = nowMs()
    if (entry.users > 0 || entries.get(entry.key) !== entry) return
    if (entry.session === null || idleMs === 0) retire(entry)
    else entry.idleTimer = setTimeout(() => retire(entry), idleMs).unref()
  }

  return {
    async use(request, work) {
      const { server, lane, maxConcurrency: limit, turnTimeoutMs: timeoutMs, signal, idleMs } = request
      if (signal?.aborted === true) throw aborted(server)
      const leaveLane = await lanes.enter(lane, { limit, timeoutMs, server, signal })
      try {
        const entry = await join(request)
        try {
          return await work(await abortable(entry.opened, { server, signals: [signal, ending.signal] }))
        } finally {
          leave(entry, idleMs)
        }
      } finally {
        leaveLane()
      }
    },
    async close() {
      ending.abort()
      for (const entry of entries.values()) retire(entry)
      while (closings.size > 0) {
        // oxlint-disable-next-line no-await-in-loop -- an opening that is being given up may still end in a session
        await Promise.all(closings)
      }
    },
  }
}

function noRoom(server: string, maxSessions: number): McpFailure {
  return new McpFailure(
    'LIMIT_EXCEEDED',
    `The MCP server "${server}" was not asked: ${maxSessions} sessions are open and all are in use. Try again when a call has ended.`,
    { retryable: true, detail: { server, max_sessions: maxSessions } },
  )
}

function noLongerLive(server: string): McpFailure {
  return new McpFailure('ABORTED', `The MCP server "${server}" was not asked: the thread that asks may no longer act.`)
}

function closed(server: string): McpFailure {
  return new McpFailure('ABORTED', `The MCP server "${server}" was not asked: this process is ending.`)
}
