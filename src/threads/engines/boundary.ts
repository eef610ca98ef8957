import type { Commit, EndReason, Next, SignalKind, Successor, ThreadState, WaitReason } from '../engine.ts'
import type { Json } from '../../json.ts'
import type { PendingSignal } from '../signals/signals.ts'
import type { LiveThread } from './live-thread.ts'

/** What a thread does after a turn boundary. */
export type Decision =
  | { readonly kind: 'turn' }
  | { readonly kind: 'park'; readonly status: 'paused' | 'waiting'; readonly wait: Extract<Next, { do: 'wait' }> | null }
  | { readonly kind: 'end'; readonly endReason: EndReason; readonly result: Json; readonly successor: Successor | null }

export interface Boundary {
  readonly state: ThreadState
  readonly next: Next
  readonly commits: readonly Commit[]
  readonly decision: Decision
}

/** Which signals end a wait. Every wait also ends by `resume`, and by the timer of its `untilMs`. */
const ENDS_WAIT: Readonly<Record<WaitReason, readonly SignalKind[]>> = {
  children: ['child_done', 'child_waiting', 'approval'],
  timer: [],
  approval: ['approval', 'child_done', 'child_waiting'],
  budget_reached: ['budget', 'approval'],
  escalated: ['budget', 'approval'],
  loop_detected: ['approval'],
  disk_full: [],
}

/**
 * Gives the pending signals to the thread's `receive`, in order, and decides what comes next. Pure. The engine sees to pausing, waking
 * and cancelling itself; what a signal adds to state and conversation is the runner's.
 */
export function crossBoundary(
  live: LiveThread,
  at: { readonly state: ThreadState; readonly next: Next; readonly pending: readonly PendingSignal[] },
): Boundary {
  let { state, next } = at
  const commits: Commit[] = []
  const cancelled = live.cancelMode !== null || at.pending.some(({ signal }) => signal.kind === 'cancel')
  // What comes now is for the thread that takes over.
  if (successorOf(next) !== null && !cancelled) return { state, next, commits, decision: decide(state, next, cancelled) }
  for (const { signal } of at.pending) {
    const wasPaused = state.paused
    const received = live.runner.receive(state, signal, live.id)
    state = received.state
    if (received.commit !== undefined) commits.push(received.commit)
    if (signal.kind === 'pause') state = { ...state, paused: true }
    if (signal.kind === 'resume') state = { ...state, paused: false }
    // A resume that ends a pause leaves the wait below it as it is.
    if (endsWait(next, signal.kind) && !(signal.kind === 'resume' && wasPaused)) next = { do: 'turn' }
  }
  return { state, next, commits, decision: decide(state, next, cancelled) }
}

function endsWait(next: Next, kind: SignalKind): boolean {
  if (next.do !== 'wait') return false
  return kind === 'resume' || kind === 'timer' || ENDS_WAIT[next.reason].includes(kind)
}

function successorOf(next: Next): Successor | null {
  return next.do === 'done' ? (next.successor ?? null) : null
}

function decide(state: ThreadState, next: Next, cancelled: boolean): Decision {
  if (cancelled) return { kind: 'end', endReason: 'cancelled', result: null, successor: null }
  if (next.do === 'done') return { kind: 'end', endReason: next.endReason, result: next.result, successor: successorOf(next) }
  const wait = next.do === 'wait' ? next : null
  if (state.paused) return { kind: 'park', status: 'paused', wait }
  return wait === null ? { kind: 'turn' } : { kind: 'park', status: 'waiting', wait }
}
