import type { Json, JsonObject } from '../json.ts'
import type { ApprovalChange } from './approvals/approval.ts'

/**
 * The port between a harness and what makes its steps durable (DESIGN section 6).
 *
 * The durable unit is one turn; between turns a thread is one small versioned record, `ThreadState`.
 *   E1. Everything that touches the world is a step with a stable name, unique in its turn; a recorded step is never run again.
 *   E2. A `once` step that began and has no result after a crash is not repeated: its outcome is `unknown`.
 *   E3. Every write of a host carries the thread's epoch; a stale epoch writes nothing.
 *   E4. A step's result, its messages, events and money are one transaction.
 *   E5. Control is a signal with an id: durable, FIFO per thread, deduplicated; `receive` is pure.
 */

export type Status = 'spawning' | 'running' | 'paused' | 'waiting' | 'completed' | 'error' | 'cancelled'

export type EndReason =
  | 'done'
  | 'stream_failed'
  | 'check_failed'
  | 'spawn_failed'
  | 'internal'
  | 'max_turns'
  | 'max_tokens'
  | 'max_tool_calls'
  | 'max_duration'
  | 'cost_exceeded'
  | 'context_exceeded'
  | 'permission_denied'
  | 'cancelled'

/** Why a thread waits. `children` and `timer` end by themselves; the others need a person or a signal. */
export type WaitReason = 'escalated' | 'loop_detected' | 'budget_reached' | 'approval' | 'disk_full' | 'children' | 'timer'

export type SignalKind =
  | 'inject'
  | 'pause'
  | 'resume'
  | 'cancel'
  | 'child_done'
  /** A child has come to wait for a person; ends the parent's wait for children, so that it can look. */
  | 'child_waiting'
  | 'approval'
  | 'budget'
  /** Another destination of the stream, from the next model call on. */
  | 'sink'
  | 'timer'

export interface Signal {
  /** Chosen by the sender; a second signal with the same id is ignored. */
  readonly id: string
  readonly kind: SignalKind
  /** Whoever steers a thread says so here: `by` (an `Actor`) and `reason`; both stand in the event `intervention`. */
  readonly body: JsonObject
}

/** Small and JSON: the conversation is in messages, never here. `data` belongs to the runner. */
export interface ThreadState {
  readonly v: 1
  readonly turn: number
  readonly paused: boolean
  readonly data: JsonObject
}

export type Next =
  | { readonly do: 'turn' }
  | {
      readonly do: 'wait'
      readonly reason: WaitReason
      readonly untilMs?: number
      /** The thread only looked whether it can go on: a turn that took no step is then not counted. */
      readonly idle?: boolean
    }
  | {
      readonly do: 'done'
      readonly status: 'completed' | 'error' | 'cancelled'
      readonly endReason: EndReason
      readonly result: Json
      /** The work goes on in this thread, which is made in the transaction that ends this one and gets what is left of its money. */
      readonly successor?: Successor
    }

/** A thread that takes over from one whose context is full. Parent, place, limits, directive and harness are those of the old one. */
export interface Successor {
  readonly threadId: string
  readonly initialMessage: string
  readonly options: JsonObject
}

/** Stored once per thread; the order of `seq` is the order of the conversation. */
export interface NewMessage {
  readonly role: 'user' | 'system_note' | 'assistant' | 'tool_result'
  /** The harness's own message object. */
  readonly content: Json
}

export interface StoredMessage extends NewMessage {
  readonly seq: number
  readonly turn: number
}

/** One registry event, and one transcript line. `payload` stays small; `message` refers to a message of the same commit by its index. */
export interface NewEvent {
  readonly type: string
  readonly payload: JsonObject
  /** Index into `Commit.messages`; the event is stored with that message's `seq` as `payload.message_seq`. */
  readonly message?: number
  /** Fields that stand in the transcript line but are not stored twice in the registry, such as a message's `content`. */
  readonly transcript?: JsonObject
}

/** Totals that a commit adds to the thread's row. Tokens by class, money in nano-dollars. */
export interface UsageDelta {
  readonly input_uncached: number
  readonly cache_read: number
  readonly cache_write_5m: number
  readonly cache_write_1h: number
  readonly output: number
  readonly reasoning: number
  readonly cost_nano: number
  readonly tool_calls: number
}

/** What is written together with a step's result, or with the end of the turn. */
export interface Commit {
  readonly messages?: readonly NewMessage[]
  readonly events?: readonly NewEvent[]
  readonly usage?: Partial<UsageDelta>
  /** Questions to a person that open or end with this commit. */
  readonly approvals?: readonly ApprovalChange[]
  /** Settles this step's reservation with what was really spent. Absent on a step that reserved: settled in full. */
  readonly settleNano?: number
}

export type Effect = 'pure' | 'idempotent' | 'once'

export interface StepOptions {
  readonly effect: Effect
  /** Below the engine's own limit; the step's signal aborts when it has passed. */
  readonly timeoutMs: number
  /** Worst case in nano-dollars, reserved in the transaction that records the intent. Absent reserves nothing. */
  readonly reserveNano?: number
  /** Events of the intent transaction, such as `tool_call`. */
  readonly before?: Commit
}

export interface StepMeta {
  /** `thread/turn/name`: the same over retries and takeovers. */
  readonly idempotencyKey: string
  readonly epoch: number
  /** From 1; above 1 an earlier attempt began and left no result. */
  readonly attempt: number
  /** Aborted by timeout, by `interrupt`, and when the lease is lost. */
  readonly signal: AbortSignal
}

export type StepOutcome<T> =
  | { readonly kind: 'done'; readonly value: T; readonly replayed: boolean }
  /** A `once` step began before a crash and left no result. */
  | { readonly kind: 'unknown' }
  /** The reservation does not fit. Nothing was run. `availableNano` is what the binding account still has. */
  | { readonly kind: 'refused'; readonly bindingThreadId: string; readonly availableNano: number }

/** Money of one thread as its host sees it, in nano-dollars; null is unlimited. */
export interface BudgetView {
  readonly grantedNano: number | null
  readonly spentNano: number
  readonly reservedNano: number
  readonly escrowNano: number
  /** Free at the account that binds (this thread's, or its nearest capped ancestor's); null is unlimited. */
  readonly availableNano: number | null
}

export interface TurnContext {
  readonly threadId: string
  readonly turn: number
  readonly epoch: number
  readonly start: ThreadStart
  /** Aborted when the thread is interrupted or its lease is lost. */
  readonly signal: AbortSignal
  /** Runs `fn` once and journals what it gives. `value` is small; large text goes into `commit.messages`. */
  step<T extends Json>(
    name: string,
    options: StepOptions,
    fn: (meta: StepMeta) => Promise<{ readonly value: T; readonly commit?: Commit }>,
  ): Promise<StepOutcome<T>>
  /** Adds to the transaction that ends the turn. */
  record(commit: Commit): void
  /** The whole conversation, oldest first, this turn's committed steps included. Held in memory while the thread runs; do not mutate. */
  history(): readonly StoredMessage[]
  /** Live side channel: lossy, never journaled. */
  emit(live: JsonObject): void
  budget(): BudgetView
  /**
   * Children of this thread, and of those that handed their work on to it, for limits and for waiting. Where a child has handed its work
   * on, its id is still the one it was spawned with, and the status that of the thread which has the work now. `waitReason` is set while
   * it waits.
   */
  children(): readonly { readonly threadId: string; readonly status: Status; readonly waitReason: WaitReason | null }[]
  /** Threads spawned below the root of this tree so far, for `max_spawns`. */
  spawnedInTree(): number
  /**
   * True when a message was injected that this turn does not know yet. It may come at any moment, so only what comes after the turn may
   * depend on it, never a step.
   */
  hasUnreadMessage(): boolean
  /** Journaled time in UTC milliseconds: the time at which this turn began. */
  now(): number
  /** Journaled, unique within the thread: a pure function of thread, turn and how often it was asked. */
  uuid(): string
}

export type RunTurn = (context: TurnContext, state: ThreadState) => Promise<readonly [ThreadState, Next]>

/** Pure. Gives the new state and what the signal adds to the conversation and the transcript. */
export type Receive = (
  state: ThreadState,
  signal: Signal,
  threadId?: string,
) => { readonly state: ThreadState; readonly commit?: Commit }

/** What a harness gives the engine. Found by name; the engine knows nothing else of harnesses. */
export interface Runner {
  readonly name: string
  /** Recorded with each turn. */
  readonly version: string
  init(start: ThreadStart): ThreadState
  runTurn: RunTurn
  receive: Receive
}

/** Everything a thread was spawned with; immutable, stored with its row. */
export interface ThreadStart {
  readonly threadId: string
  readonly directiveId: string
  readonly harness: string
  readonly initialMessage: string
  readonly inputs: JsonObject
  readonly projectPath: string
  readonly parentThreadId: string | null
  readonly rootThreadId: string
  readonly depth: number
  /** Nano-dollars granted to this thread's own account; null has no account and draws on its nearest capped ancestor. */
  readonly grantedNano: number | null
  /** What binds the tree, so that spawn can refuse in one transaction. */
  readonly maxSpawns: number | null
  readonly maxDepth: number | null
  /** `hard` when every call can be bounded before it is made, else `advisory`. */
  readonly guarantee: 'hard' | 'advisory'
  /** The runner's own start data (model override and the like). */
  readonly options: JsonObject
  /** First thread of the chain that this one belongs to: its own id where it continues none. */
  readonly chainId: string
  readonly continues: Continues | null
  /** `detach`: the end of the parent, and its cancel, do not reach this thread. */
  readonly onParentEnd: 'cancel' | 'detach'
}

/** What a thread goes on from. */
export interface Continues {
  readonly threadId: string
  readonly how: 'retry' | 'fork' | 'handoff'
  /** Messages of the earlier thread up to this `seq` stand, with the same `seq`, at the beginning of this one; 0: none. */
  readonly throughSeq: number
}

/** The durable runner of threads, one per registry. `sqlite` by default; `memory` is the same contract without files. */
export interface Engine {
  /** Idempotent by id. The row is already durable; this makes the engine take it up. */
  start(threadId: string): Promise<void>
  /** Tells the engine that a signal row was written. */
  notify(threadId: string): void
  /** Best effort: aborts the running step only. */
  interrupt(threadId: string): void
  /** Takes over every unfinished thread whose lease is free: torn tails cut, unfinished steps resolved. Gives their ids. */
  recover(): Promise<readonly string[]>
  /** Threads with work to do now (running, or waiting on a timer). */
  active(): number
  /** Stops taking turns, waits for running steps up to `graceMs`, releases leases. Threads stay as they are. */
  close(graceMs: number): Promise<void>
}
