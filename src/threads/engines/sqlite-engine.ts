import { randomUUID } from 'node:crypto'
import { KiwiError, toEnvelope } from '../../kernel/errors.ts'
import type { Json } from '../../json.ts'
import type { Clock } from '../clock.ts'
import type { Engine, Runner, ThreadStart } from '../engine.ts'
import { createLedger } from '../ledger/ledger.ts'
import type { LiveBus } from '../live-bus.ts'
import { insertSignal, isPending, pendingSignals, statusInRegistry } from '../signals/signals.ts'
import { isTerminal } from '../status.ts'
import { integerOrNull } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import type { Transcripts } from '../transcript/transcripts.ts'
import { drive, noticeCancel } from './drive.ts'
import type { Departure, DriveOptions } from './drive.ts'
import { createJournal } from './journal.ts'
import { createLeases } from './leases.ts'
import { readStart } from './live-thread.ts'
import type { LiveThread } from './live-thread.ts'
import { ownIdentity } from './process-identity.ts'
import { recoverThreads, threadsWithWork } from './recovery.ts'
import { takeUp } from './take-up.ts'
import { createTimers } from './timers.ts'

export interface SqliteEngineOptions {
  /** Opened with `diskFull: 'retry'`, so that a full disk delays threads and breaks none. Closed by its owner, after the engine. */
  readonly store: Store
  /** Finds a harness by name; asked whenever a thread is taken up. A rejection ends the thread with `spawn_failed`. */
  readonly resolveRunner: (name: string) => Promise<Runner>
  readonly clock: Clock
  /** Unique per engine: two engines never share one. */
  readonly hostId: string
  /** Null writes no transcripts. */
  readonly transcripts: Transcripts | null
  /** Null where nobody watches. */
  readonly bus: LiveBus | null
  /** Told of what went wrong outside of any thread's own result. */
  readonly onProblem: (threadId: string, error: unknown) => void
  /** How often signals and spawns of other processes are looked for, besides being told of them. Default 500. */
  readonly pollMs?: number
  /** Default 5,000. */
  readonly heartbeatMs?: number
  /** Default 30,000. */
  readonly leaseExpiryMs?: number
  /** Default 6,000: a second more than a step is given. */
  readonly cancelGraceMs?: number
}

/**
 * Runs threads of one registry: many at once, one turn at a time each.
 *
 *   R1. A thread is live here only while this engine holds its lease; it is let go when it parks, ends, or the engine closes.
 *   R2. Every way in (`start`, `notify`, a timer, the poll, `recover`) is the same `wake`, which looks into the registry and does what is due.
 */
export function createSqliteEngine(options: SqliteEngineOptions): Engine {
  const { store, clock, transcripts } = options
  const ledger = createLedger(store)
  const leases = createLeases({
    store,
    hostId: options.hostId,
    identity: ownIdentity(),
    expiryMs: options.leaseExpiryMs ?? 30_000,
  })
  const journal = createJournal({ store, ledger, leases, clock, transcripts, bus: options.bus })
  const lives = new Map<string, LiveThread>()
  const driving = new Map<string, Promise<void>>()
  const taking = new Map<string, Promise<boolean>>()
  const timers = createTimers(clock.now, onTimer)
  let closing = false
  let beating: Promise<unknown> | null = null
  let foreign = store.foreign()
  const driveOptions: DriveOptions = {
    journal,
    leases,
    bus: options.bus,
    closing: () => closing,
    notify,
    cancelGraceMs: options.cancelGraceMs ?? 6_000,
  }
  if (transcripts !== null) store.onBatch(() => transcripts.flush())
  const pollTimer = setInterval(poll, options.pollMs ?? 500).unref()
  const heartbeatTimer = setInterval(() => void beat(), options.heartbeatMs ?? 5_000).unref()

  function beat(): Promise<unknown> {
    beating = store.commit(() => leases.heartbeat(clock.now())).catch((error: unknown) => options.onProblem('', error))
    return beating
  }

  function poll(): void {
    const now = store.foreign()
    if (closing || now === foreign) return
    foreign = now
    for (const threadId of threadsWithWork(store)) notify(threadId)
  }

  function notify(threadId: string): void {
    const live = lives.get(threadId)
    if (live !== undefined) noticeCancel(journal, live)
    else wake(threadId).catch((error: unknown) => options.onProblem(threadId, error))
  }

  /** True when the thread was taken up. */
  function wake(threadId: string): Promise<boolean> {
    if (closing || lives.has(threadId)) return Promise.resolve(false)
    const already = taking.get(threadId)
    if (already !== undefined) return already
    if (!isDue(threadId)) return Promise.resolve(false)
    const taken = takeUpThread(threadId).finally(() => taking.delete(threadId))
    taking.set(threadId, taken)
    return taken
  }

  /** Looks what a thread that is not live needs: a parked one without a signal only its timer, an ended one nothing but its transcript. */
  function isDue(threadId: string): boolean {
    const status = statusInRegistry(store, threadId)
    if (status === null) return false
    if (status === 'spawning' || status === 'running') return true
    if (!isTerminal(status) && pendingSignals(store, threadId).length > 0) return true
    transcripts?.repair(threadId)
    if (isTerminal(status)) transcripts?.forget(threadId)
    else setTimer(threadId)
    return false
  }

  function setTimer(threadId: string): void {
    const row = store.statement("SELECT wait_until_ms FROM threads WHERE thread_id = ? AND status = 'waiting'").get(threadId)
    const untilMs = row === undefined ? null : integerOrNull(row, 'wait_until_ms')
    if (untilMs !== null) timers.set(threadId, untilMs)
  }

  function onTimer(threadId: string): void {
    if (closing) return
    store
      .commit(() => fireTimer(threadId))
      .then(
        () => notify(threadId),
        (error: unknown) => options.onProblem(threadId, error),
      )
  }

  /** Each has an id of its own: one that came too early, because a clock was set back, must not keep the next from coming. */
  function fireTimer(threadId: string): void {
    const nowMs = clock.now()
    const due = store
      .statement("SELECT 1 AS due FROM threads WHERE thread_id = ? AND status = 'waiting' AND wait_until_ms <= ?")
      .get(threadId, nowMs)
    if (due === undefined || isPending(store, threadId, 'timer')) return
    insertSignal(store, threadId, { id: `timer:${randomUUID()}`, kind: 'timer', body: {} }, nowMs)
  }

  async function takeUpThread(threadId: string): Promise<boolean> {
    await (beating ?? beat())
    const start = readStart(store, threadId)
    if (start === null) throw new KiwiError('INTERNAL', `Thread ${threadId} has no start data.`)
    const { runner, error } = await runnerOf(start)
    timers.clear(threadId)
    const live = await takeUp({ journal, leases }, start, runner)
    if (live === null) return false
    lives.set(threadId, live)
    // One that came while the thread was being read found it neither live nor due.
    noticeCancel(journal, live)
    if (error !== null) live.next = spawnFailed(error)
    driving.set(threadId, run(live))
    return true
  }

  async function runnerOf(start: ThreadStart): Promise<{ readonly runner: Runner; readonly error: unknown }> {
    try {
      return { runner: await options.resolveRunner(start.harness), error: null }
    } catch (error) {
      return { runner: NO_RUNNER, error }
    }
  }

  async function run(live: LiveThread): Promise<void> {
    const departure = await drive(driveOptions, live)
    lives.delete(live.id)
    driving.delete(live.id)
    await depart(live, departure).catch((error: unknown) => options.onProblem(live.id, error))
  }

  async function depart(live: LiveThread, departure: Departure): Promise<void> {
    if (departure.kind === 'lost') return options.onProblem(live.id, departure.error)
    if (departure.kind !== 'parked') {
      // Only after the last line is in the transcript: a host that dies before leaves a lease, and by it the next one knows.
      await store.commit(() => leases.release(live.id, live.epoch))
      if (departure.kind === 'ended') transcripts?.forget(live.id)
    }
    if (departure.kind === 'parked' && departure.untilMs !== null) timers.set(live.id, departure.untilMs)
    // A signal that came while the thread was being parked found it live and was left for now.
    if (departure.kind !== 'ended' && !closing) notify(live.id)
  }

  async function close(graceMs: number): Promise<void> {
    closing = true
    clearInterval(pollTimer)
    clearInterval(heartbeatTimer)
    timers.close()
    // Bounded like everything below: on a full disk a thread that is being taken up never is.
    await settledWithin([...taking.values()], graceMs)
    await settledWithin([...driving.values()], graceMs)
    for (const live of lives.values()) live.controller.abort(new KiwiError('ABORTED', 'The host is closing.'))
    await settledWithin([...driving.values()], 1_000)
    // On a full disk nothing can be written: the leases then stay, and are free by the death of this process.
    await settledWithin([store.commit(() => abandonAll(lives.values()))], 2_000)
    transcripts?.close()
  }

  function abandonAll(left: Iterable<LiveThread>): void {
    for (const live of left) {
      live.broken ??= { error: new KiwiError('ABORTED', 'The host has closed.'), leaseLost: true }
      leases.release(live.id, live.epoch)
    }
    store.statement('DELETE FROM hosts WHERE host_id = ?').run(options.hostId)
  }

  return {
    start: async (threadId) => void (await wake(threadId)),
    notify,
    interrupt: (threadId) =>
      lives.get(threadId)?.controller.abort(new KiwiError('ABORTED', `The running step of thread ${threadId} was interrupted.`)),
    recover: () => recoverThreads({ store, leases, clock, transcripts, wake, onProblem: options.onProblem }),
    active: () => lives.size + taking.size + timers.count(),
    close,
  }
}

/** Stands in for a harness that was not found, until the thread has ended by that. */
const NO_RUNNER: Runner = {
  name: 'none',
  version: '0',
  init: () => ({ v: 1, turn: 0, paused: false, data: {} }),
  runTurn: (_context, state) => Promise.resolve([state, { do: 'turn' }]),
  receive: (state) => ({ state }),
}

function spawnFailed(error: unknown): { do: 'done'; status: 'error'; endReason: 'spawn_failed'; result: Json } {
  // An envelope is built from JSON values only.
  return { do: 'done', status: 'error', endReason: 'spawn_failed', result: { error: toEnvelope(error).error as unknown as Json } }
}

async function settledWithin(promises: readonly Promise<unknown>[], timeoutMs: number): Promise<void> {
  if (promises.length === 0) return
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([Promise.allSettled(promises), timeout])
  clearTimeout(timer)
}
