import type { JsonObject } from '../../../json.ts'
import type { CostLimits, DirectiveHook, SuccessCheck } from '../../../kernel/items/item.ts'
import type { ThreadState } from '../../../threads/engine.ts'
import type { Answer, Happening, Pending } from '../interruptions/contract.ts'
import type { CallTrace } from '../limits/loops.ts'
import type { ModelTarget } from '../services.ts'

/** What the first turn learned from the directive; fixed for the life of the thread. */
export interface Prepared {
  readonly limits: CostLimits
  readonly target: ModelTarget
  readonly contextLimit: number | null
  /** Absent where the directive has none, and in states of earlier versions. */
  readonly hooks?: readonly DirectiveHook[]
  /** Ids of the capabilities that the thread was granted; only where there are hooks. */
  readonly granted?: readonly string[]
  /** Of the directive's inputs; only where there are hooks. */
  readonly inputDefaults?: JsonObject
  readonly checks?: readonly SuccessCheck[]
  readonly outputsSchema?: JsonObject
}

/** Counters that the limits are checked against. Money is nano-dollars. */
export interface Spent {
  readonly turns: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly toolCalls: number
  readonly costNano: number
}

/** What operators added to the limits when they resumed the thread. */
export interface Added {
  readonly turns: number
  readonly tokens: number
  readonly toolCalls: number
  readonly seconds: number
  readonly nano: number
}

/** A tool call that has no result yet: it waits for other threads, or for somebody's answer. */
export type ParkedCall = ParkedOnThreads | ParkedOnAnswer

export interface ParkedOnThreads {
  readonly callId: string
  readonly tool: string
  readonly waitFor: readonly string[]
  readonly untilMs: number
  /** It is answered as soon as one of them waits for a person; absent: no. */
  readonly wakeOnWaiting?: boolean
}

export interface ParkedOnAnswer {
  readonly callId: string
  readonly tool: string
  readonly approvalId: string
  /** `tool`: the call runs when somebody agrees. `change`: who agrees carries it out. */
  readonly asks: 'tool' | 'change'
  /** Of the parameters that were shown. */
  readonly argsHash: string
  /** The question is a no from then on. */
  readonly untilMs: number
}

/** How the provider measured the last request, so that the next one can be bounded before it is sent. */
export interface Measured {
  readonly inputTokens: number
  readonly outputTokens: number
  /** `seq` of the assistant message that came back: everything behind it is new. */
  readonly seq: number
}

/** The runner's part of `ThreadState.data`: counters and marks, never conversation. */
export interface SafetyData {
  readonly prepared: Prepared | null
  readonly spent: Spent
  readonly added: Added
  readonly measured: Measured | null
  readonly agentsSha256: string | null
  readonly contextWarned: boolean
  readonly recentCalls: readonly CallTrace[]
  readonly parked: readonly ParkedCall[]
  /** Limits whose one warning was given (`on_exceeded: warn`). */
  readonly warned: readonly string[]
  /** Answers in a row that brought the work no further: cut, empty, refused or full. */
  readonly fruitless: number
  /** Turns in a row in which every call was denied; absent in states of earlier versions. */
  readonly denied?: number
  /** Turns in a row in which the money was taken by a sibling between the look and the reservation. */
  readonly outbid: number
  readonly clock: Clock
  readonly cancelled: boolean
  /** What the thread waits for before its next model call, besides parked calls. */
  readonly pending: Pending | null
  /** What else happened when it began to wait, or while it did: hooks and people hear of one thing after the other. */
  readonly unheard: readonly Happening[]
  /** Answers that have come and were not read yet, by the id of the question. */
  readonly answers: Readonly<Record<string, Answer>>
  /** Tools that somebody approved for this thread, by id, each with the end of that in UTC milliseconds. */
  readonly approvedTools: Readonly<Record<string, { readonly approvalId: string; readonly untilMs: number }>>
  /** Destinations that were added to the stream while the thread ran. */
  readonly sinks: readonly JsonObject[]
  /** How often hooks let a thing be tried again, by event code. */
  readonly hookRetries: Readonly<Record<string, number>>
  /** Whether the hooks of `before_step` were asked for the turn that is next. */
  readonly stepCleared: boolean
  /** Rounds of repair that failed checks have cost; a second failure is the last. */
  readonly repairs: number
  /** Turns of the chain after which a round of repair is over; null: none is under way. */
  readonly repairBy: number | null
  /** The checks that failed last, as the end of the thread would tell them. */
  readonly failedChecks: readonly JsonObject[]
  /** How often the work of this chain was handed on before this thread had it. */
  readonly handoffs: number
  /** Tool calls that those before this one in its chain have made; without one of its own a thread does not hand on. */
  readonly callsBefore: number
  /**
   * `due`: the next turn asks for the summary. `asked`: it was asked for; `again`: and called tools instead. `off`: it came to nothing, and
   * the plain rules hold.
   */
  readonly handoff: 'none' | 'due' | 'asked' | 'again' | 'off'
}

/** Journaled times, in UTC milliseconds. Waiting for a person does not count against `max_duration_seconds`. */
export interface Clock {
  readonly startedMs: number | null
  readonly lastTurnMs: number | null
  readonly waitingSinceMs: number | null
  readonly waitedMs: number
}

const FRESH: SafetyData = {
  prepared: null,
  spent: { turns: 0, inputTokens: 0, outputTokens: 0, toolCalls: 0, costNano: 0 },
  added: { turns: 0, tokens: 0, toolCalls: 0, seconds: 0, nano: 0 },
  measured: null,
  agentsSha256: null,
  contextWarned: false,
  recentCalls: [],
  parked: [],
  warned: [],
  fruitless: 0,
  outbid: 0,
  clock: { startedMs: null, lastTurnMs: null, waitingSinceMs: null, waitedMs: 0 },
  cancelled: false,
  pending: null,
  unheard: [],
  answers: {},
  approvedTools: {},
  sinks: [],
  hookRetries: {},
  stepCleared: false,
  repairs: 0,
  repairBy: null,
  failedChecks: [],
  handoffs: 0,
  callsBefore: 0,
  handoff: 'none',
}

/** The state of a thread that has not taken a turn. */
export function freshState(): ThreadState {
  return { v: 1, turn: 0, paused: false, data: encode(FRESH) }
}

/** The runner's data of a state that this harness wrote; what an earlier version of it did not know has its first value. */
export function dataOf(state: ThreadState): SafetyData {
  // Only `freshState` and `withData` write `data`, and both take a SafetyData.
  return { ...FRESH, ...(state.data as unknown as SafetyData) }
}

/** The same state with other runner data. */
export function withData(state: ThreadState, change: Partial<SafetyData>): ThreadState {
  return { ...state, data: encode({ ...dataOf(state), ...change }) }
}

/** The clock at the start of a turn: what was waited for a person since the last one is left out. */
export function tick(clock: Clock, nowMs: number): Clock {
  const waited = clock.waitingSinceMs === null ? 0 : Math.max(0, nowMs - clock.waitingSinceMs)
  return { startedMs: clock.startedMs ?? nowMs, lastTurnMs: nowMs, waitingSinceMs: null, waitedMs: clock.waitedMs + waited }
}

/** The clock of a thread that begins to wait for a person. */
export function stopClock(clock: Clock): Clock {
  return { ...clock, waitingSinceMs: clock.waitingSinceMs ?? clock.lastTurnMs }
}

/** Seconds that count against `max_duration_seconds`. */
export function elapsedSeconds(clock: Clock): number {
  if (clock.startedMs === null || clock.lastTurnMs === null) return 0
  return (clock.lastTurnMs - clock.startedMs - clock.waitedMs) / 1000
}

function encode(data: SafetyData): JsonObject {
  // SafetyData holds only JSON values and no undefined, except the absent limits of CostLimits.
  return data as unknown as JsonObject
}
