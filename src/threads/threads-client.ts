import type { TokenLedger } from '../capabilities/contract.ts'
import type { Json, JsonObject } from '../json.ts'
import type { Actor, Approvals } from './approvals/approval.ts'
import type { BudgetView, Continues, EndReason, Signal, Status, StoredMessage, ThreadStart, WaitReason } from './engine.ts'

export interface SpawnRequest {
  readonly threadId: string
  readonly directiveId: string
  readonly harness: string
  readonly initialMessage: string
  readonly inputs: JsonObject
  readonly parentThreadId: string | null
  readonly grantedNano: number | null
  readonly maxSpawns: number | null
  readonly maxDepth: number | null
  readonly guarantee: 'hard' | 'advisory'
  readonly options: JsonObject
  /** Shown by the registry: model, limits, … */
  readonly costBudget: JsonObject
  readonly permissionContext: JsonObject
  /** Threads below this one that have not ended, at once; null or absent: no limit. */
  readonly maxLive?: number | null
  /** Default `cancel`. A detached thread below a cap needs a grant of its own. */
  readonly onParentEnd?: 'cancel' | 'detach'
  /**
   * The new thread goes on with the conversation of another, which is copied in the transaction of the spawn. A retry needs one that has
   * ended. Handing over is the engine's.
   */
  readonly continues?: (Omit<Continues, 'how'> & { readonly how: 'retry' | 'fork' }) | null
  /** Who continues a thread, and why; both threads log it with the spawn, as the event `intervention`. */
  readonly asked?: { readonly by: Actor; readonly reason: string }
}

/** Shape every spawning tool answers with. */
export interface SpawnReceipt {
  readonly success: true
  readonly thread_id: string
  readonly status: 'spawned'
  readonly transcript_path: string
  readonly registry_id: number
  readonly started_at: string
}

/** One registry row as every door shows it. Times are ISO 8601 UTC. */
export interface ThreadRow {
  readonly thread_id: string
  /** Grows with each spawn in this registry. */
  readonly registry_id: number
  readonly directive_id: string
  readonly harness: string
  readonly parent_thread_id: string | null
  readonly root_thread_id: string
  readonly depth: number
  readonly status: Status
  readonly end_reason: EndReason | null
  readonly wait_reason: WaitReason | null
  readonly created_at: string
  readonly updated_at: string
  readonly ended_at: string | null
  readonly turn: number
  readonly result: Json
  readonly total_usage: JsonObject
  readonly cost_budget: JsonObject
  readonly permission_context: JsonObject
  readonly guarantee: 'hard' | 'advisory'
  /** Relative to the project. */
  readonly transcript_path: string
  readonly chain_id: string
  readonly continues: { readonly thread_id: string; readonly how: Continues['how'] } | null
  /** The thread that has taken over the work; null unless this one handed it on. */
  readonly continued_by: string | null
  readonly on_parent_end: 'cancel' | 'detach'
}

export interface ThreadEventRow {
  readonly id: number
  readonly thread_id: string
  readonly seq: number
  readonly ts: string
  readonly event_type: string
  readonly payload: JsonObject
}

export interface ThreadQuery {
  readonly directive_id?: string
  readonly status?: Status
  readonly parent_thread_id?: string
  readonly root_thread_id?: string
  readonly chain_id?: string
  readonly created_after?: string
  readonly created_before?: string
  /** 1 to 1000, default 100. */
  readonly limit?: number
  readonly order_by?: 'created_at' | 'created_at_desc' | 'updated_at' | 'updated_at_desc'
}

/**
 * Threads of one project, for doors and tools. Reads the registry directly; every write is durable before it answers, then wakes
 * the host (started on demand). Throws `KiwiError`: THREAD_NOT_FOUND, THREAD_ID_COLLISION, SPAWN_FAILED, BUDGET_EXCEEDED,
 * ILLEGAL_TRANSITION, HOST_UNAVAILABLE.
 */
export interface ThreadsClient {
  readonly projectPath: string
  spawn(request: SpawnRequest): Promise<SpawnReceipt>
  get(threadId: string): ThreadRow
  /** What the thread was spawned with. */
  start(threadId: string): ThreadStart
  budget(threadId: string): BudgetView
  list(query?: ThreadQuery): readonly ThreadRow[]
  events(
    threadId: string,
    options?: { readonly sinceSeq?: number; readonly limit?: number; readonly last?: number; readonly type?: string },
  ): readonly ThreadEventRow[]
  /** The threads that logged an event after the one with this `id`, and the `id` of the newest event; 0 where there is none. */
  loggedSince(eventId: number): { readonly threadIds: readonly string[]; readonly newest: number }
  messages(threadId: string, options?: { readonly sinceSeq?: number; readonly limit?: number }): readonly StoredMessage[]
  /**
   * Refuses what the status table does not allow. Answers when the row is durable; the effect comes at the next turn boundary. What somebody
   * does to a thread is logged with it, as the event `intervention {action, by, reason, …}`.
   */
  signal(threadId: string, signal: Signal): Promise<void>
  /** Changes when anybody writes to the registry; far cheaper than reading it. Any text; compare it with an earlier one. */
  version(): string
  /** Adds an event of the caller's to the log (`thread_registry` action `log_event`). */
  logEvent(threadId: string, type: string, payload: JsonObject): Promise<number>
  /**
   * Resolves when all threads are terminal or waiting for a person, or after `timeoutMs`; the rows as they are then. A thread whose work was
   * handed on is waited for, and answered, as the thread that has it now.
   */
  wait(
    threadIds: readonly string[],
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<readonly ThreadRow[]>
  /** Live deltas and events from the host until the signal aborts or the thread ends. */
  watch(threadId: string, onLive: (live: JsonObject) => void, signal: AbortSignal): Promise<void>
  readonly approvals: Approvals
  /** The thread that has the work of this one now: itself, or the last that it was handed on to. */
  newestOf(threadId: string): ThreadRow
  /** Tokens and run keys of this registry. */
  readonly tokens: TokenLedger
  close(): void
}
