import type { SQLInputValue } from 'node:sqlite'
import { KiwiError } from '../../kernel/errors.ts'
import { isoTime } from '../clock.ts'
import type { Clock } from '../clock.ts'
import type { ThreadStart } from '../engine.ts'
import { NO_USAGE } from '../engines/live-thread.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { takeSpawn } from '../ledger/tree-limits.ts'
import { isTerminal, readStatus } from '../status.ts'
import { integer, text } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import { threadNotFound, transcriptPath } from '../store/thread-rows.ts'
import { sanitizeThreadId } from '../thread-id.ts'
import type { SpawnReceipt, SpawnRequest } from '../threads-client.ts'

export interface SpawnContext {
  readonly store: Store
  readonly ledger: Ledger
  readonly clock: Clock
  readonly projectPath: string
}

const INSERT_THREAD = `INSERT INTO threads (thread_id, directive_id, parent_thread_id, root_thread_id, status, created_at, updated_at,
  permission_context_json, cost_budget_json, total_usage_json, harness, depth, guarantee, max_spawns, max_depth)
  VALUES (?, ?, ?, ?, 'spawning', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

/**
 * Writes a new thread in one durable transaction: row, start, account and escrow, limits of the tree, first event.
 *
 * @throws {KiwiError} INVALID_THREAD_ID, THREAD_ID_COLLISION, THREAD_NOT_FOUND (parent), SPAWN_FAILED, BUDGET_EXCEEDED.
 */
export async function spawnThread(context: SpawnContext, request: SpawnRequest): Promise<SpawnReceipt> {
  if (sanitizeThreadId(request.threadId) !== request.threadId) {
    throw new KiwiError('INVALID_THREAD_ID', `The thread id "${request.threadId}" has spaces; sanitize it first.`, {
      facts: { received: request.threadId, sanitized: sanitizeThreadId(request.threadId) },
    })
  }
  const startedAt = isoTime(context.clock.now())
  const registryId = await context.store.commit(() => insertThread(context, request, startedAt), { durability: 'full' })
  return {
    success: true,
    thread_id: request.threadId,
    status: 'spawned',
    transcript_path: transcriptPath(request.threadId),
    registry_id: registryId,
    started_at: startedAt,
  }
}

function insertThread(context: SpawnContext, request: SpawnRequest, nowIso: string): number {
  const { store, ledger } = context
  const { threadId, parentThreadId } = request
  const taken = store.statement('SELECT 1 AS taken FROM threads WHERE thread_id = ?').get(threadId)
  if (taken !== undefined) {
    throw new KiwiError('THREAD_ID_COLLISION', `A thread with the id ${threadId} exists already.`, {
      facts: { thread_id: threadId },
      suggestion: 'Choose another id.',
    })
  }
  const { depth, rootThreadId } = placeOf(store, request)
  if (parentThreadId !== null) takeSpawn(store, parentThreadId, depth)
  const values: SQLInputValue[] = [threadId, request.directiveId, parentThreadId, rootThreadId, nowIso, nowIso]
  values.push(JSON.stringify(request.permissionContext), JSON.stringify(request.costBudget), JSON.stringify(NO_USAGE))
  values.push(request.harness, depth, request.guarantee, request.maxSpawns, request.maxDepth)
  const written = store.statement(INSERT_THREAD).run(...values)
  store
    .statement('INSERT INTO thread_starts (thread_id, start_json) VALUES (?, ?)')
    .run(threadId, JSON.stringify(startOf(context, request, { depth, rootThreadId })))
  ledger.open(request)
  store
    .statement("INSERT INTO thread_events (thread_id, seq, ts, event_type, payload_json) VALUES (?, 1, ?, 'status', ?)")
    .run(threadId, nowIso, JSON.stringify({ status: 'spawning', directive: request.directiveId, parent: parentThreadId }))
  return Number(written.lastInsertRowid)
}

/** Where the thread stands in its tree. A parent that has ended or is being cancelled takes no child, however close the race. */
function placeOf(store: Store, request: SpawnRequest): { readonly depth: number; readonly rootThreadId: string } {
  const { parentThreadId } = request
  if (parentThreadId === null) return { depth: 0, rootThreadId: request.threadId }
  const parent = store
    .statement('SELECT status, cancel_mode, depth, root_thread_id FROM threads WHERE thread_id = ?')
    .get(parentThreadId)
  if (parent === undefined) throw threadNotFound(parentThreadId)
  const status = readStatus(text(parent, 'status'))?.status ?? 'error'
  if (isTerminal(status) || parent['cancel_mode'] !== null) {
    const why = isTerminal(status) ? `has ended (${status})` : 'is being cancelled'
    throw new KiwiError('SPAWN_FAILED', `Thread ${request.threadId} cannot be spawned: its parent ${parentThreadId} ${why}.`, {
      facts: { directive_name: request.directiveId, parent_thread_id: parentThreadId, parent_status: status },
    })
  }
  return { depth: integer(parent, 'depth') + 1, rootThreadId: text(parent, 'root_thread_id') }
}

function startOf(
  context: SpawnContext,
  request: SpawnRequest,
  place: { readonly depth: number; readonly rootThreadId: string },
): ThreadStart {
  const {
    threadId,
    directiveId,
    harness,
    initialMessage,
    inputs,
    parentThreadId,
    grantedNano,
    maxSpawns,
    maxDepth,
    guarantee,
    options,
  } = request
  const { projectPath } = context
  return {
    threadId,
    directiveId,
    harness,
    initialMessage,
    inputs,
    projectPath,
    parentThreadId,
    ...place,
    grantedNano,
    maxSpawns,
    maxDepth,
    guarantee,
    options,
  }
}
