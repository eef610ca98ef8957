import type { Json } from '../../../json.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { ThreadStart } from '../../../threads/engine.ts'
import type { SpawnReceipt, SpawnRequest, ThreadEventRow, ThreadRow, ThreadsClient } from '../../../threads/threads-client.ts'
import { assertAllowed } from '../interventions/allowed-actions.ts'
import type { Caller } from '../interventions/caller.ts'
import { OWN_EVENT_TYPES } from '../interventions/own-event-types.ts'
import { callingThread } from '../interventions/thread-access.ts'
import { HOOK_OPTIONS, isHookThread } from '../hooks/hook-thread.ts'
import { hash } from '../limits/loops.ts'
import type { HarnessServices } from '../services.ts'
import { threadMayNot } from './spawn-harness.ts'
import { planSpawn } from './spawn-plan.ts'
import { DEFAULT_HARNESS, exists, ID_ATTEMPTS, isCollision, orSpawnFailed, receiptOf, requestOf } from './spawning.ts'
import type { Spawner } from './spawning.ts'

/** What `retry_thread` and `fork_thread` take; a fork names its point by one of `at_seq` and `checkpoint`. */
export interface ContinueCall {
  readonly thread_id: string
  readonly message?: string
  readonly on_parent_end?: 'cancel' | 'detach'
  readonly reason?: string
  readonly at_seq?: number
  readonly checkpoint?: string
}

export interface ContinueReceipt extends SpawnReceipt {
  readonly chain_id: string
  readonly continues: { readonly thread_id: string; readonly how: 'retry' | 'fork' }
}

const MESSAGES = { retry: 'Try again: go on with this work until it is done.', fork: 'Go on from here.' } as const

/**
 * Goes on with the conversation of a thread in a new one of its chain: with all of it (retry), or up to a point (fork). The directive is
 * taken as it is signed now, with its limits in full. The operator's is a root; a thread's is its child. Inside a thread the id follows
 * from the step, so that a repeated step finds the thread it made.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND, PERMISSION_DENIED, ILLEGAL_TRANSITION, INVALID_REQUEST (no such point), DIRECTIVE_INVALID, SPAWN_FAILED.
 */
export async function continueThread(spawner: Spawner, how: 'retry' | 'fork', call: ContinueCall): Promise<ContinueReceipt> {
  const { services, context } = spawner
  const { threads } = services
  const { row, caller } = await assertAllowed(services, context, { threadId: call.thread_id, action: how })
  const start = threads.start(row.thread_id)
  const throughSeq = how === 'retry' ? Number.MAX_SAFE_INTEGER : forkPoint(threads, start, call)
  const receipt = await orSpawnFailed({ directive_name: row.directive_id }, async () => {
    const request = await requestFor(spawner, { row, start, call, how })
    const continues = { threadId: row.thread_id, how, throughSeq }
    return spawnUnderNewId(spawner, { ...request, continues, asked: askedBy(services, caller, call) })
  })
  return { ...receipt, chain_id: row.chain_id, continues: { thread_id: row.thread_id, how } }
}

function askedBy(services: HarnessServices, { by }: Caller, { reason = '' }: ContinueCall): NonNullable<SpawnRequest['asked']> {
  return { by, reason: services.redactor(by.kind === 'thread' ? by.thread_id : undefined).text(reason) }
}

/** The last message that stood in the conversation when the event was logged. */
function forkPoint(threads: ThreadsClient, { threadId, continues }: ThreadStart, call: ContinueCall): number {
  const { at_seq: atSeq, checkpoint } = call
  if ((atSeq === undefined) === (checkpoint === undefined))
    throw new KiwiError('INVALID_REQUEST', 'fork_thread needs either at_seq or checkpoint.', {
      suggestion: 'Give the seq of an event of the transcript, or the name of a checkpoint.',
    })
  const until = atSeq ?? checkpointSeq(threads, threadId, checkpoint ?? '')
  const newest = threads.events(threadId, { last: 1 }).at(-1)?.seq ?? 0
  if (until < 1 || until > newest)
    throw new KiwiError('INVALID_REQUEST', `Thread ${threadId} has no event ${until}; its events are 1 to ${newest}.`, {
      facts: { thread_id: threadId, newest_seq: newest },
    })
  let through = continues?.how === 'handoff' ? 0 : (continues?.throughSeq ?? 0)
  // What others log of a thread says nothing of its conversation.
  for (const { event_type: type, payload } of eventsUpTo(threads, threadId, until))
    if (OWN_EVENT_TYPES.has(type)) through = Math.max(through, numberOf(payload['message_seq']))
  return through
}

function* eventsUpTo(threads: ThreadsClient, threadId: string, until: number): Generator<ThreadEventRow> {
  for (let sinceSeq = 0; sinceSeq < until;) {
    const page = threads.events(threadId, { sinceSeq, limit: Math.min(PAGE, until - sinceSeq) })
    for (const event of page) if (event.seq <= until) yield event
    const last = page.at(-1)
    if (last === undefined) return
    sinceSeq = last.seq
  }
}

const PAGE = 1_000

function checkpointSeq(threads: ThreadsClient, threadId: string, name: string): number {
  const named = threads.events(threadId, { type: 'checkpoint', last: PAGE })
  const found = named.findLast(({ payload }) => payload['name'] === name)
  if (found !== undefined) return found.seq
  const names = [...new Set(named.flatMap(({ payload: { name: one } }) => (typeof one === 'string' ? [one] : [])))]
  throw new KiwiError('INVALID_REQUEST', `Thread ${threadId} has no checkpoint ${JSON.stringify(name.slice(0, 128))}.`, {
    facts: { thread_id: threadId, checkpoints: names.slice(-MAX_NAMES) },
    suggestion: names.length === 0 ? 'Fork at the seq of an event.' : `Its checkpoints: ${names.slice(-MAX_NAMES).join(', ')}.`,
  })
}

const MAX_NAMES = 20

function numberOf(value: Json | undefined): number {
  return typeof value === 'number' ? value : 0
}

async function requestFor(
  spawner: Spawner,
  from: { readonly row: ThreadRow; readonly start: ThreadStart; readonly call: ContinueCall; readonly how: 'retry' | 'fork' },
): Promise<SpawnRequest> {
  const { row, start, call, how } = from
  const { services, context } = spawner
  const message = call.message ?? MESSAGES[how]
  const end = call.on_parent_end === undefined ? {} : { on_parent_end: call.on_parent_end }
  const threadId = newIdOf(spawner, row.thread_id, how)
  if (start.harness !== DEFAULT_HARNESS && !(await hasDirective(services, row.directive_id)))
    return sameAgain(spawner, { row, start, threadId, message, onParentEnd: call.on_parent_end ?? 'cancel' })
  const plan = await planSpawn(services, context, row.directive_id, start.inputs)
  const options = isHookThread(start) ? HOOK_OPTIONS : {}
  const spawn = { directive_name: row.directive_id, initial_message: message, inputs: start.inputs, ...end }
  return requestOf({ ...spawner, options }, spawn, { threadId, harness: start.harness, plan })
}

/** A harness that runs no directive is started with what it was started with before. */
function sameAgain(
  { services, context }: Spawner,
  again: Pick<SpawnRequest, 'threadId'> & {
    readonly row: ThreadRow
    readonly start: ThreadStart
    readonly message: string
    readonly onParentEnd: 'cancel' | 'detach'
  },
): SpawnRequest {
  const { row, start, threadId, message, onParentEnd } = again
  const { directiveId, harness, inputs, grantedNano, maxSpawns, maxDepth, guarantee, options } = start
  const caller = callingThread(context)
  if (caller !== null) throw threadMayNot(caller, harness)
  const maxLive = row.cost_budget['max_live_spawns']
  return {
    threadId,
    directiveId,
    harness,
    initialMessage: services.redactor(caller ?? undefined).text(message),
    inputs,
    parentThreadId: caller,
    grantedNano,
    maxSpawns,
    maxDepth,
    maxLive: typeof maxLive === 'number' ? maxLive : null,
    guarantee,
    options,
    costBudget: row.cost_budget,
    permissionContext: row.permission_context,
    onParentEnd,
  }
}

async function hasDirective({ kernel }: HarnessServices, name: string): Promise<boolean> {
  try {
    await kernel.find('directive', name)
    return true
  } catch (error) {
    if (error instanceof KiwiError && error.code === 'ITEM_NOT_FOUND') return false
    throw error
  }
}

/** `<base>_r<n>` and `<base>_f<n>`; for what may be repeated, as a step of a thread, the number is that of its key. */
function newIdOf({ services, context }: Spawner, threadId: string, how: 'retry' | 'fork'): string {
  const base = threadId.replace(/_[rf](?:\d+|[\da-f]{12})$/, '').slice(0, BASE_LENGTH)
  const letter = how === 'retry' ? 'r' : 'f'
  const { __idempotency_key: key } = context
  if (key !== undefined) return `${base}_${letter}${hash(key).slice(0, 12)}`
  for (let count = 1; ; count += 1) {
    const id = `${base}_${letter}${count}`
    if (!exists(services, id)) return id
  }
}

/** Room for the longest ending within the longest id. */
const BASE_LENGTH = 112

async function spawnUnderNewId(spawner: Spawner, request: SpawnRequest): Promise<SpawnReceipt> {
  const { services, context } = spawner
  for (let attempt = 1, threadId = request.threadId; ; attempt += 1) {
    try {
      return await services.threads.spawn({ ...request, threadId })
    } catch (error) {
      if (!isCollision(error) || request.continues === undefined || request.continues === null) throw error
      const row = services.threads.get(threadId)
      const { threadId: earlier, how } = request.continues
      const isOwn = context.__idempotency_key !== undefined && row.parent_thread_id === callingThread(context)
      if (isOwn && row.continues?.thread_id === earlier && row.continues.how === how) return receiptOf(row)
      // Another process took the id between the look and the write.
      if (attempt >= ID_ATTEMPTS || context.__idempotency_key !== undefined) throw error
      threadId = newIdOf(spawner, earlier, how)
    }
  }
}
