import { KiwiError } from '../kernel/errors.ts'
import type { EndReason, SignalKind, Status, WaitReason } from './engine.ts'

/** Every status a thread can have, in the order of a life. */
export const STATUSES: readonly Status[] = ['spawning', 'running', 'paused', 'waiting', 'completed', 'error', 'cancelled']

interface StatusRule {
  readonly next: readonly Status[]
  readonly signals: readonly SignalKind[]
}

const ALWAYS: readonly SignalKind[] = ['inject', 'cancel', 'child_done', 'child_waiting', 'approval', 'budget', 'sink', 'timer']
const TO_LIVE: readonly SignalKind[] = [...ALWAYS, 'pause']
const TO_PAUSED: readonly SignalKind[] = [...ALWAYS, 'resume']

/** The one table of a thread's life: where it may go from a status, and which signals it takes there. */
const TABLE: Readonly<Record<Status, StatusRule>> = {
  spawning: { next: ['running', 'paused', 'error', 'cancelled'], signals: TO_LIVE },
  running: { next: ['paused', 'waiting', 'completed', 'error', 'cancelled'], signals: TO_LIVE },
  paused: { next: ['running', 'waiting', 'error', 'cancelled'], signals: TO_PAUSED },
  waiting: { next: ['running', 'paused', 'error', 'cancelled'], signals: [...TO_LIVE, 'resume'] },
  completed: { next: [], signals: [] },
  error: { next: [], signals: [] },
  cancelled: { next: [], signals: [] },
}

const OUTCOMES: Readonly<Record<EndReason, { readonly status: 'completed' | 'error' | 'cancelled'; readonly exitCode: number }>> =
  {
    done: { status: 'completed', exitCode: 0 },
    stream_failed: { status: 'error', exitCode: 1 },
    check_failed: { status: 'error', exitCode: 1 },
    spawn_failed: { status: 'error', exitCode: 1 },
    internal: { status: 'error', exitCode: 1 },
    max_turns: { status: 'error', exitCode: 4 },
    max_tokens: { status: 'error', exitCode: 4 },
    max_tool_calls: { status: 'error', exitCode: 4 },
    max_duration: { status: 'error', exitCode: 4 },
    cost_exceeded: { status: 'error', exitCode: 4 },
    context_exceeded: { status: 'error', exitCode: 4 },
    permission_denied: { status: 'error', exitCode: 3 },
    cancelled: { status: 'cancelled', exitCode: 1 },
  }

const PERSON_WAITS: ReadonlySet<WaitReason> = new Set(['escalated', 'loop_detected', 'budget_reached', 'approval', 'disk_full'])

export function isTerminal(status: Status): boolean {
  return TABLE[status].next.length === 0
}

export function canTransition(from: Status, to: Status): boolean {
  return TABLE[from].next.includes(to)
}

/** @throws {KiwiError} ILLEGAL_TRANSITION with the facts thread_id, from, to. */
export function assertTransition(threadId: string, from: Status, to: Status): void {
  if (canTransition(from, to)) return
  const allowed = TABLE[from].next
  throw new KiwiError('ILLEGAL_TRANSITION', `Thread ${threadId} cannot go from ${from} to ${to}.`, {
    facts: { thread_id: threadId, from, to, allowed },
    suggestion:
      allowed.length === 0
        ? `The thread has ended (${from}); spawn a new one.`
        : `From ${from} it can go to ${allowed.join(', ')}.`,
  })
}

/** What a thread of this status takes. `resume` is also taken while a pause is still on its way; that needs the signals, not the status. */
export function allowedSignals(status: Status): readonly SignalKind[] {
  return TABLE[status].signals
}

/** What people and programs send; the other signals come from the engine. */
const STEERING: ReadonlySet<SignalKind> = new Set(['inject', 'pause', 'resume', 'cancel', 'budget', 'sink'])

/** @throws {KiwiError} ILLEGAL_TRANSITION with the facts thread_id, status, signal. */
export function assertSignal(threadId: string, status: Status, kind: SignalKind): void {
  const allowed = allowedSignals(status)
  if (allowed.includes(kind)) return
  throw new KiwiError('ILLEGAL_TRANSITION', `Thread ${threadId} is ${status} and takes no ${kind} signal.`, {
    facts: { thread_id: threadId, status, signal: kind, allowed },
    suggestion: isTerminal(status)
      ? 'The thread has ended; read its result, or spawn a new one.'
      : `It takes: ${allowed.filter((signal) => STEERING.has(signal)).join(', ')}.`,
  })
}

export function isEndReason(value: unknown): value is EndReason {
  return typeof value === 'string' && Object.hasOwn(OUTCOMES, value)
}

/** The status that a thread with this end reason has. */
export function statusOf(endReason: EndReason): 'completed' | 'error' | 'cancelled' {
  return OUTCOMES[endReason].status
}

/** True for a thread that goes on only when a person or a program outside acts on it. */
export function needsPerson(status: Status, waitReason: WaitReason | null): boolean {
  return status === 'paused' || (status === 'waiting' && waitReason !== null && PERSON_WAITS.has(waitReason))
}

/** Exit code of a command that ends with this thread; null while the thread still works by itself. */
export function exitCodeOf(status: Status, endReason: EndReason | null, waitReason: WaitReason | null): number | null {
  if (isTerminal(status)) return endReason === null ? 1 : OUTCOMES[endReason].exitCode
  return needsPerson(status, waitReason) ? 5 : null
}

/** Status names as people and older tools write them; `cancelIntent` is set for the ones that mean "running, and being cancelled". Null for an unknown name. */
export function readStatus(text: string): { readonly status: Status; readonly cancelIntent: boolean } | null {
  if (text === 'terminated' || text === 'killed') return { status: 'cancelled', cancelIntent: false }
  if (text === 'terminating') return { status: 'running', cancelIntent: true }
  const status = STATUSES.find((candidate) => candidate === text)
  return status === undefined ? null : { status, cancelIntent: false }
}
