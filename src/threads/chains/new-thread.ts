import type { SQLInputValue } from 'node:sqlite'
import type { ThreadStart } from '../engine.ts'
import { NO_USAGE } from '../engines/live-thread.ts'
import type { Store } from '../store/open-store.ts'

/** What the row of a new thread has besides its start. */
export interface NewThread {
  readonly start: ThreadStart
  readonly permissionContextJson: string
  readonly costBudgetJson: string
  readonly maxLive: number | null
  /** Threads that count as spawned below it already. */
  readonly spawnedBelow: number
}

const INSERT_THREAD = `INSERT INTO threads (thread_id, directive_id, parent_thread_id, root_thread_id, status, created_at, updated_at,
  permission_context_json, cost_budget_json, total_usage_json, harness, depth, guarantee, max_spawns, max_depth, max_live, spawned_below,
  chain_id, continues_thread_id, continues_how, on_parent_end)
  VALUES (?, ?, ?, ?, 'spawning', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
const INSERT_FIRST_EVENT =
  "INSERT INTO thread_events (thread_id, seq, ts, event_type, payload_json) VALUES (?, 1, ?, 'status', ?)"

/** Writes row, start and first event of a thread; its account is the ledger's. Inside a transaction. Gives the registry id. */
export function putThread(store: Store, thread: NewThread, nowIso: string): number {
  const { start } = thread
  const { threadId, directiveId, parentThreadId, chainId, continues } = start
  const values: SQLInputValue[] = [threadId, directiveId, parentThreadId, start.rootThreadId, nowIso, nowIso]
  values.push(thread.permissionContextJson, thread.costBudgetJson, JSON.stringify(NO_USAGE))
  values.push(start.harness, start.depth, start.guarantee, start.maxSpawns, start.maxDepth, thread.maxLive, thread.spawnedBelow)
  values.push(chainId === threadId ? null : chainId, continues?.threadId ?? null, continues?.how ?? null, start.onParentEnd)
  const written = store.statement(INSERT_THREAD).run(...values)
  store.statement('INSERT INTO thread_starts (thread_id, start_json) VALUES (?, ?)').run(threadId, JSON.stringify(start))
  const payload = { status: 'spawning', directive: directiveId, parent: parentThreadId, ...continuesFact(start) }
  store.statement(INSERT_FIRST_EVENT).run(threadId, nowIso, JSON.stringify(payload))
  return Number(written.lastInsertRowid)
}

function continuesFact({ continues }: ThreadStart): object {
  if (continues === null) return {}
  return { continues: { thread_id: continues.threadId, how: continues.how, through_seq: continues.throughSeq } }
}

export function isTaken(store: Store, threadId: string): boolean {
  return store.statement('SELECT 1 AS taken FROM threads WHERE thread_id = ?').get(threadId) !== undefined
}
