import { KiwiError, toEnvelope } from '../../kernel/errors.ts'
import type { Json } from '../../json.ts'
import type { Commit, EndReason, Next, ThreadState } from '../engine.ts'
import type { LiveBus } from '../live-bus.ts'
import { cancelModeOf, pendingSignals } from '../signals/signals.ts'
import { crossBoundary } from './boundary.ts'
import type { Boundary } from './boundary.ts'
import type { Journal } from './journal.ts'
import type { Leases } from './leases.ts'
import type { LiveThread } from './live-thread.ts'
import { writeBoundary } from './thread-writes.ts'
import type { Aftermath } from './thread-writes.ts'
import { createTurnContext } from './turn-context.ts'

export interface DriveOptions {
  readonly journal: Journal
  readonly leases: Leases
  readonly bus: LiveBus | null
  readonly closing: () => boolean
  readonly notify: (threadId: string) => void
  /** How long a cancelled turn may go on before it is left behind. */
  readonly cancelGraceMs: number
}

/** How a thread left this host: it parked or ended, the host closes, its lease is lost, or it must be read again and go on. */
export type Departure =
  | { readonly kind: 'parked'; readonly untilMs: number | null }
  | { readonly kind: 'ended' }
  | { readonly kind: 'closing' }
  | { readonly kind: 'lost'; readonly error: unknown }
  | { readonly kind: 'again' }

interface EndedTurn {
  readonly state: ThreadState
  readonly next: Next
  readonly recorded: readonly Commit[]
}

type TurnOutcome =
  | { readonly kind: 'ended'; readonly turn: EndedTurn }
  | { readonly kind: 'threw'; readonly error: unknown }
  | { readonly kind: 'left' }

/** Runs a live thread, turn after turn, until it departs. Never rejects. */
export async function drive(options: DriveOptions, live: LiveThread): Promise<Departure> {
  let ended: EndedTurn | null = null
  try {
    for (;;) {
      const departure = await boundary(options, live, ended)
      if (departure !== null) return departure
      const outcome = await runTurn(options, live)
      if (live.broken?.leaseLost === true) return { kind: 'lost', error: live.broken.error }
      if (outcome.kind === 'ended' && live.broken === null) ended = outcome.turn
      else if (live.cancelMode !== null) return await end(options, live, { reason: 'cancelled', result: null, commit: null })
      else if (options.closing()) return { kind: 'closing' }
      else if (live.broken === null && live.controller.signal.aborted) return { kind: 'again' }
      else return await endByError(options, live, outcome.kind === 'threw' ? outcome.error : undefined)
    }
  } catch (error) {
    if (live.broken?.leaseLost === true) return { kind: 'lost', error }
    return endByError(options, live, error).catch((last: unknown) => ({ kind: 'lost', error: last }))
  }
}

/** Ends the turn before it, takes in the signals, and decides. Null means that the next turn runs. */
async function boundary(options: DriveOptions, live: LiveThread, ended: EndedTurn | null): Promise<Departure | null> {
  const { journal } = options
  // Normally long done, with the first step of the turn; a turn without a step waits here, so that it cannot spin.
  await live.boundary
  live.boundary = null
  // In the middle of an interrupted turn only a cancel counts: anything else would change what the recorded steps were made from.
  // A thread whose harness was not found is done whatever it was in the middle of.
  const midTurn = ended === null && live.steps.size > 0 && live.next.do !== 'done'
  const pending = midTurn && live.cancelMode === null ? [] : pendingSignals(journal.store, live.id)
  if (midTurn && live.cancelMode === null && !options.closing()) return null
  const recorded = ended === null ? [] : ended.recorded.map((commit) => journal.prepare(live, commit, { step: null }))
  const turn = ended === null || wasIdle(live, ended) ? live.turn : live.turn + 1
  const crossed = crossBoundary(live, { state: ended?.state ?? live.state, next: ended?.next ?? live.next, pending })
  const signalled = crossed.commits.map((commit) => journal.prepare(live, commit, { step: null }))
  const state = { ...crossed.state, turn }
  const unchanged = ended === null && pending.length === 0 && live.status === 'running' && crossed.decision.kind === 'turn'
  advance(live, { turn, state, next: crossed.next })
  if (ended !== null) live.steps.clear()
  if (!unchanged) {
    live.turnStartedMs = journal.clock.now()
    const write = {
      state,
      next: crossed.next,
      turn,
      turnStartedMs: live.turnStartedMs,
      decision: crossed.decision,
      applied: pending,
      commits: [...recorded, ...signalled],
    }
    const written = journal.write(live, (transaction, nowIso) => writeBoundary(options, live, write, { transaction, nowIso }), {
      durability: crossed.decision.kind === 'end' && crossed.decision.endReason === 'cancelled' ? 'full' : 'normal',
    })
    // Nothing outside depends on the end of an ordinary turn: it travels with the first commit of the next one, which fails with it.
    if (crossed.decision.kind === 'turn' && !options.closing()) {
      live.boundary = written
      written.catch(() => undefined)
    } else tell(options, await written)
  }
  return departureAfter(options, crossed)
}

/** No step stands in the journal under this turn's number, so the next one can have it. */
function wasIdle(live: LiveThread, { next }: EndedTurn): boolean {
  return next.do === 'wait' && next.idle === true && live.steps.size === 0
}

function advance(live: LiveThread, to: { readonly turn: number; readonly state: ThreadState; readonly next: Next }): void {
  live.turn = to.turn
  live.state = to.state
  live.next = to.next
}

function departureAfter(options: DriveOptions, crossed: Boundary): Departure | null {
  if (crossed.decision.kind === 'end') return { kind: 'ended' }
  if (crossed.decision.kind === 'park') return { kind: 'parked', untilMs: crossed.decision.wait?.untilMs ?? null }
  return options.closing() ? { kind: 'closing' } : null
}

function tell(options: DriveOptions, aftermath: Aftermath): void {
  for (const threadId of aftermath.notify) options.notify(threadId)
}

async function runTurn(options: DriveOptions, live: LiveThread): Promise<TurnOutcome> {
  live.controller = new AbortController()
  const { context, recorded } = createTurnContext({
    live,
    journal: options.journal,
    bus: options.bus,
    stopping: () => options.closing() || live.cancelMode !== null,
  })
  const running = Promise.try(() => live.runner.runTurn(context, live.state)).then(
    ([state, next]): TurnOutcome => ({ kind: 'ended', turn: { state, next, recorded } }),
    (error: unknown): TurnOutcome => ({ kind: 'threw', error }),
  )
  const outcome = await leftBehind(running, live.controller.signal, options.cancelGraceMs)
  // A runner that was left behind may still call steps; they find a closed door.
  if (outcome.kind === 'left')
    live.broken ??= { error: new KiwiError('ABORTED', `The turn of thread ${live.id} did not stop in time.`), leaseLost: false }
  return outcome
}

/** A turn that does not notice its abort is waited for `graceMs` and no longer. */
async function leftBehind(running: Promise<TurnOutcome>, signal: AbortSignal, graceMs: number): Promise<TurnOutcome> {
  const left = Promise.withResolvers<TurnOutcome>()
  let timer: NodeJS.Timeout | undefined
  const onAbort = (): void => {
    timer = setTimeout(() => left.resolve({ kind: 'left' }), graceMs)
  }
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([running, left.promise])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

/** Looks whether somebody wants the thread cancelled, and stops the running step accordingly. */
export function noticeCancel(journal: Journal, live: LiveThread): void {
  const cancels = pendingSignals(journal.store, live.id).filter(({ signal }) => signal.kind === 'cancel')
  if (cancels.length === 0) return
  // The most urgent counts, in whatever order they came.
  live.cancelMode = cancels.some(({ signal }) => cancelModeOf(signal) === 'now') ? 'now' : 'graceful'
  if (live.cancelMode === 'now') live.controller.abort(new KiwiError('ABORTED', `Thread ${live.id} is being cancelled.`))
}

/** A thread whose turn threw ends; what it threw is its result. It is not tried again: a poison turn would never stop. */
async function endByError(options: DriveOptions, live: LiveThread, error: unknown): Promise<Departure> {
  const envelope = toEnvelope(live.broken?.error ?? error)
  const { code, message } = envelope.error
  // An envelope is built from JSON values only.
  const result = { error: envelope.error } as unknown as Json
  return end(options, live, { reason: 'internal', result, commit: { events: [{ type: 'error', payload: { code, message } }] } })
}

/** Ends a thread in the middle of a turn; the turn does not count. */
async function end(
  options: DriveOptions,
  live: LiveThread,
  how: { readonly reason: EndReason; readonly result: Json; readonly commit: Commit | null },
): Promise<Departure> {
  const { journal } = options
  live.broken = null
  live.checked = null
  const pending = pendingSignals(journal.store, live.id)
  const commits = how.commit === null ? [] : [journal.prepare(live, how.commit, { step: null })]
  const decision = { kind: 'end', endReason: how.reason, result: how.result, successor: null } as const
  const write = {
    state: live.state,
    next: live.next,
    turn: live.turn,
    turnStartedMs: live.turnStartedMs,
    decision,
    applied: pending,
    commits,
  }
  const aftermath = await journal.write(
    live,
    (transaction, nowIso) => writeBoundary(options, live, write, { transaction, nowIso }),
    { durability: 'full' },
  )
  // From here on a runner that was left behind writes nothing.
  live.broken = { error: new KiwiError('ABORTED', `Thread ${live.id} has ended.`), leaseLost: false }
  tell(options, aftermath)
  return { kind: 'ended' }
}
