import type { JsonObject } from '../../json.ts'
import { KiwiError } from '../../kernel/errors.ts'
import { continuationOf, copyConversation } from '../chains/continuation.ts'
import type { Continuation } from '../chains/continuation.ts'
import { isTaken, putThread } from '../chains/new-thread.ts'
import { isoTime } from '../clock.ts'
import type { Clock } from '../clock.ts'
import type { ThreadStart } from '../engine.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { takeSpawn } from '../ledger/tree-limits.ts'
import { LIBRARY, MAX_REASON } from '../signals/intervention.ts'
import { isTerminal, readStatus } from '../status.ts'
import { appendEvent } from '../store/append-event.ts'
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

/**
 * Writes a new thread in one durable transaction: row, start, account and escrow, limits of the tree, the conversation that it goes on
 * with, first event.
 *
 * @throws {KiwiError} INVALID_THREAD_ID, THREAD_ID_COLLISION, THREAD_NOT_FOUND (parent, continued thread), SPAWN_FAILED, BUDGET_EXCEEDED,
 * ILLEGAL_TRANSITION (retry of a thread that has not ended), INVALID_REQUEST.
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
  if (isTaken(store, threadId)) {
    throw new KiwiError('THREAD_ID_COLLISION', `A thread with the id ${threadId} exists already.`, {
      facts: { thread_id: threadId },
      suggestion: 'Choose another id.',
    })
  }
  const place = placeOf(store, request)
  const continuation = continuationOf(store, request)
  if (parentThreadId !== null) {
    assertOwnMoney(ledger, request, parentThreadId)
    takeSpawn(store, parentThreadId, place)
  }
  const thread = {
    start: startOf(context, request, { ...place, ...continuation }),
    permissionContextJson: JSON.stringify(request.permissionContext),
    costBudgetJson: JSON.stringify(request.costBudget),
    maxLive: request.maxLive ?? null,
    spawnedBelow: 0,
  }
  const registryId = putThread(store, thread, nowIso)
  copyConversation(store, threadId, continuation.continues)
  logContinuation(store, request, nowIso)
  ledger.open(request)
  return registryId
}

/** In both threads, so that either tells where the work goes and who wanted that. */
function logContinuation(store: Store, { threadId, continues, asked }: SpawnRequest, nowIso: string): void {
  if (continues === undefined || continues === null) return
  const { how, threadId: earlier } = continues
  const reason = asked === undefined || asked.reason === '' ? null : asked.reason.slice(0, MAX_REASON)
  const payload: JsonObject = {
    action: how,
    by: { ...(asked?.by ?? LIBRARY) },
    reason,
    thread_id: earlier,
    continued_in: threadId,
  }
  for (const logged of [earlier, threadId]) appendEvent(store, { threadId: logged, type: 'intervention', payload, nowIso })
}

/** A thread that outlives its parent cannot draw on the parent's account: that closes with the parent, and then grants nothing (L4). */
function assertOwnMoney(ledger: Ledger, request: SpawnRequest, parentThreadId: string): void {
  if (request.onParentEnd !== 'detach' || request.grantedNano !== null) return
  if (ledger.view(parentThreadId).availableNano === null) return
  throw new KiwiError(
    'SPAWN_FAILED',
    `Thread ${request.threadId} cannot be detached from ${parentThreadId}: it has no budget of its own and would draw on one that closes with its parent.`,
    {
      facts: { directive_name: request.directiveId, parent_thread_id: parentThreadId },
      suggestion: `Give the directive ${request.directiveId} a max_cost_usd, or let the thread end with its parent (on_parent_end: cancel).`,
    },
  )
}

interface Place {
  readonly depth: number
  readonly rootThreadId: string
}

/** Where the thread stands in its tree. A parent that has ended or is being cancelled takes no child, however close the race. */
function placeOf(store: Store, request: SpawnRequest): Place {
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

function startOf(context: SpawnContext, request: SpawnRequest, place: Place & Continuation): ThreadStart {
  const { threadId, directiveId, harness, initialMessage, inputs, parentThreadId } = request
  const { grantedNano, maxSpawns, maxDepth, guarantee, options } = request
  return {
    threadId,
    directiveId,
    harness,
    initialMessage,
    inputs,
    projectPath: context.projectPath,
    parentThreadId,
    rootThreadId: place.rootThreadId,
    depth: place.depth,
    grantedNano,
    maxSpawns,
    maxDepth,
    guarantee,
    options,
    chainId: place.chainId,
    continues: place.continues,
    onParentEnd: request.onParentEnd ?? 'cancel',
  }
}
