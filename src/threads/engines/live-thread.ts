import type { Effect, Next, Runner, Status, StoredMessage, ThreadStart, ThreadState, UsageDelta } from '../engine.ts'
import type { CancelMode } from '../signals/signals.ts'
import { integer, integerOrNull, json, jsonObject, text, textOrNull } from '../store/columns.ts'
import type { Row } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import { toMessage } from '../store/thread-rows.ts'

/** A step of the turn that is being run, as the journal has it. */
export interface StepRecord {
  readonly effect: Effect
  readonly state: 'begun' | 'done' | 'failed' | 'unknown'
  readonly attempt: number
  readonly valueJson: string | null
}

/** What a commit advances; replaced as a whole, so that a rollback can put the old one back. */
export interface Counters {
  readonly eventSeq: number
  readonly usage: UsageDelta
}

/**
 * A thread that this host runs now. It exists from the taking of the lease until the thread ends or parks; what it holds is what the
 * registry holds, plus commits on their way. After a failed commit it is `broken` and writes nothing more.
 */
export interface LiveThread {
  readonly id: string
  readonly start: ThreadStart
  readonly runner: Runner
  readonly epoch: number
  status: Status
  state: ThreadState
  next: Next
  /** Turns that have ended. The one being run is `turn + 1`. */
  turn: number
  turnStartedMs: number
  history: StoredMessage[]
  /** Recorded messages of an unfinished turn, by the step that wrote them; shown when the step is replayed. */
  readonly hidden: Map<string, StoredMessage[]>
  readonly steps: Map<string, StepRecord>
  messageSeq: number
  counters: Counters
  /** What `Transaction.foreign` was when epoch and event seq were last read. */
  checked: object | null
  cancelMode: CancelMode | null
  controller: AbortController
  broken: { readonly error: unknown; readonly leaseLost: boolean } | null
  /** The commit that ended the last turn, while it is on its way. */
  boundary: Promise<unknown> | null
}

export const NO_USAGE: UsageDelta = {
  input_uncached: 0,
  cache_read: 0,
  cache_write_5m: 0,
  cache_write_1h: 0,
  output: 0,
  reasoning: 0,
  cost_nano: 0,
  tool_calls: 0,
}

export function addUsage(total: UsageDelta, delta: Partial<UsageDelta>): UsageDelta {
  return {
    input_uncached: total.input_uncached + (delta.input_uncached ?? 0),
    cache_read: total.cache_read + (delta.cache_read ?? 0),
    cache_write_5m: total.cache_write_5m + (delta.cache_write_5m ?? 0),
    cache_write_1h: total.cache_write_1h + (delta.cache_write_1h ?? 0),
    output: total.output + (delta.output ?? 0),
    reasoning: total.reasoning + (delta.reasoning ?? 0),
    cost_nano: total.cost_nano + (delta.cost_nano ?? 0),
    tool_calls: total.tool_calls + (delta.tool_calls ?? 0),
  }
}

const NO_CHAIN: Pick<ThreadStart, 'continues' | 'onParentEnd'> = { continues: null, onParentEnd: 'cancel' }

/** What a thread was spawned with; null for an unknown one. */
export function readStart(store: Store, threadId: string): ThreadStart | null {
  const row = store.statement('SELECT start_json FROM thread_starts WHERE thread_id = ?').get(threadId)
  if (row === undefined) return null
  // Only the spawn transaction writes this column, with a ThreadStart; an earlier version knew no chains.
  const stored = json(row, 'start_json') as unknown as Omit<ThreadStart, keyof typeof NO_CHAIN | 'chainId'>
  return { chainId: threadId, ...NO_CHAIN, ...stored }
}

/** The totals of a thread's row. */
export function readUsage(row: Row): UsageDelta {
  const usage = jsonObject(row, 'total_usage_json')
  const count = (name: keyof UsageDelta): number => (typeof usage[name] === 'number' ? usage[name] : 0)
  return addUsage(NO_USAGE, {
    input_uncached: count('input_uncached'),
    cache_read: count('cache_read'),
    cache_write_5m: count('cache_write_5m'),
    cache_write_1h: count('cache_write_1h'),
    output: count('output'),
    reasoning: count('reasoning'),
    cost_nano: count('cost_nano'),
    tool_calls: count('tool_calls'),
  })
}

export function lastEventSeq(store: Store, threadId: string): number {
  const row = store.statement('SELECT COALESCE(MAX(seq), 0) AS seq FROM thread_events WHERE thread_id = ?').get(threadId)
  return row === undefined ? 0 : integer(row, 'seq')
}

/** Reads a thread whose lease was just taken: its state, conversation, and the recorded steps of an unfinished turn. */
export function loadLive(
  store: Store,
  taken: { readonly start: ThreadStart; readonly runner: Runner; readonly epoch: number; readonly nowMs: number },
): LiveThread {
  const { start, runner, epoch } = taken
  const row = store.statement('SELECT * FROM threads WHERE thread_id = ?').get(start.threadId)
  if (row === undefined) throw new TypeError(`Thread ${start.threadId} has a start and no row.`)
  const turn = integer(row, 'turn')
  const live: LiveThread = {
    id: start.threadId,
    start,
    runner,
    epoch,
    // Columns that only the engine writes, from these types.
    status: text(row, 'status') as Status,
    state: row['state_json'] === null ? runner.init(start) : (json(row, 'state_json') as unknown as ThreadState),
    next: row['next_json'] === null ? { do: 'turn' } : (json(row, 'next_json') as unknown as Next),
    turn,
    turnStartedMs: integerOrNull(row, 'turn_started_ms') ?? taken.nowMs,
    history: [],
    hidden: new Map(),
    steps: readSteps(store, start.threadId, turn + 1),
    messageSeq: 0,
    counters: { eventSeq: lastEventSeq(store, start.threadId), usage: readUsage(row) },
    checked: null,
    cancelMode: textOrNull(row, 'cancel_mode') as CancelMode | null,
    controller: new AbortController(),
    broken: null,
    boundary: null,
  }
  readConversation(store, live)
  return live
}

function readSteps(store: Store, threadId: string, turn: number): Map<string, StepRecord> {
  const rows = store
    .statement('SELECT name, effect, state, attempt, value_json FROM steps WHERE thread_id = ? AND turn = ?')
    .all(threadId, turn)
  return new Map(
    rows.map((row) => [
      text(row, 'name'),
      {
        // Columns that only the engine writes, from these types.
        effect: text(row, 'effect') as Effect,
        state: text(row, 'state') as StepRecord['state'],
        attempt: integer(row, 'attempt'),
        valueJson: textOrNull(row, 'value_json'),
      },
    ]),
  )
}

function readConversation(store: Store, live: LiveThread): void {
  const rows = store
    .statement('SELECT seq, turn, step, role, content_json FROM messages WHERE thread_id = ? ORDER BY seq')
    .all(live.id)
  for (const row of rows) {
    const message = toMessage(row)
    live.messageSeq = message.seq
    const step = message.turn > live.turn ? textOrNull(row, 'step') : null
    if (step === null) live.history.push(message)
    else live.hidden.set(step, [...(live.hidden.get(step) ?? []), message])
  }
}

/** Shows the messages that a replayed step had recorded, in the place that their seq gives them. */
export function reveal(live: LiveThread, step: string): void {
  const messages = live.hidden.get(step)
  if (messages === undefined) return
  live.hidden.delete(step)
  live.history = [...live.history, ...messages].toSorted((left, right) => left.seq - right.seq)
}
