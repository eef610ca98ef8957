import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { SpawnReceipt, ThreadEventRow, ThreadQuery, ThreadRow } from '../../../threads/threads-client.ts'
import { readStatus } from '../../../threads/status.ts'
import type { HarnessServices } from '../services.ts'
import { spawnThread } from '../spawning/spawning.ts'
import { allowedActions, assertAllowed } from './allowed-actions.ts'
import type { Action } from './allowed-actions.ts'
import { accessibleThread, callingThread, isDescendant } from './thread-access.ts'
import { OWN_EVENT_TYPES } from './own-event-types.ts'
import { intervene } from './thread-control.ts'
import type { Intervention, SignalReceipt } from './thread-control.ts'
import { threadTree } from './thread-tree.ts'
import type { TreeNode } from './thread-tree.ts'

/** The parameters of `thread_registry`; which of them an action needs is checked here. */
export interface RegistryRequest {
  readonly action: 'register' | 'update_status' | 'get_status' | 'query' | 'tree' | 'log_event' | 'get_events'
  readonly thread_id?: string
  readonly directive_id?: string
  readonly harness?: string
  readonly initial_message?: string
  readonly inputs?: JsonObject
  readonly status?: string
  readonly reason?: string
  readonly event_type?: string
  readonly payload?: JsonObject
  readonly since_seq?: number
  readonly last_n?: number
  readonly created_after?: string
  readonly created_before?: string
  readonly limit?: number
  readonly order_by?: NonNullable<ThreadQuery['order_by']>
}

type RegistryAnswer =
  | SpawnReceipt
  | SignalReceipt
  | { readonly success: true; readonly thread: ThreadRow; readonly allowed_actions: readonly Action[] }
  | { readonly success: true; readonly tree: TreeNode }
  | { readonly success: true; readonly threads: readonly ThreadRow[] }
  | { readonly success: true; readonly seq: number }
  | { readonly success: true; readonly events: readonly ThreadEventRow[] }

interface Caller {
  readonly services: HarnessServices
  readonly context: ExecutionContext
}

/** The most that one look into the registry gives, and what it gives when nobody says how much. */
const MAX_ROWS = 1_000
const DEFAULT_ROWS = 100

/** One action on the registry. A thread sees and changes only itself (events) and its descendants; the operator everything. */
export async function registryAction(
  services: HarnessServices,
  context: ExecutionContext,
  request: RegistryRequest,
): Promise<RegistryAnswer> {
  const caller = { services, context }
  switch (request.action) {
    case 'register':
      return register(caller, request)
    case 'update_status':
      return updateStatus(caller, request)
    case 'get_status':
      return getStatus(caller, request)
    case 'query':
      return { success: true, threads: query(caller, request) }
    case 'tree':
      return { success: true, tree: threadTree(services.threads, (await readable(caller, required(request, 'thread_id'))).row) }
    case 'log_event':
      return logEvent(caller, request)
    case 'get_events':
      return getEvents(caller, request)
  }
}

function register(caller: Caller, request: RegistryRequest): Promise<SpawnReceipt> {
  const { harness, initial_message: message, inputs } = request
  return spawnThread(caller, {
    thread_id: required(request, 'thread_id'),
    directive_name: required(request, 'directive_id'),
    ...(harness === undefined ? {} : { harness }),
    ...(message === undefined ? {} : { initial_message: message }),
    ...(inputs === undefined ? {} : { inputs }),
  })
}

/** A status is not written, it is brought about: what can be asked for becomes the signal, everything else is the thread's own doing. */
function updateStatus({ services, context }: Caller, request: RegistryRequest): Promise<SignalReceipt> {
  const threadId = required(request, 'thread_id')
  const status = required(request, 'status')
  const read = readStatus(status)
  const ask = (action: Intervention['action'], body: JsonObject = {}): Promise<SignalReceipt> =>
    intervene(services, context, { threadId, action, reason: request.reason ?? '', body })
  if (status === 'paused') return ask('pause')
  if (status === 'running') return ask('resume')
  if (read?.cancelIntent === true) return ask('cancel', { mode: 'graceful' })
  if (read?.status === 'cancelled') return ask('cancel', { mode: 'now' })
  throw new KiwiError('ILLEGAL_TRANSITION', `A thread's status cannot be set to "${status}".`, {
    facts: { thread_id: threadId, to: status, allowed: ['paused', 'running', 'terminating', 'killed'] },
    suggestion: 'Use paused, running, terminating or killed; a thread completes or fails by itself.',
  })
}

function query({ services, context }: Caller, request: RegistryRequest): readonly ThreadRow[] {
  const caller = callingThread(context)
  const status = request.status === undefined ? undefined : readStatus(request.status)?.status
  if (request.status !== undefined && status === undefined) {
    throw new KiwiError('INVALID_REQUEST', `There is no status "${request.status}".`, {
      suggestion: 'Use spawning, running, paused, waiting, completed, error or cancelled.',
    })
  }
  const { directive_id, created_after, created_before, limit, order_by } = request
  const rows = services.threads.list({
    ...(directive_id === undefined ? {} : { directive_id }),
    ...(status === undefined ? {} : { status }),
    ...(created_after === undefined ? {} : { created_after: isoTime('created_after', created_after) }),
    ...(created_before === undefined ? {} : { created_before: isoTime('created_before', created_before) }),
    // A thread's own share of its tree is cut out below, so the limit is kept there.
    ...(caller === null ? (limit === undefined ? {} : { limit }) : { limit: MAX_ROWS }),
    ...(order_by === undefined ? {} : { order_by }),
    ...(caller === null ? {} : { root_thread_id: services.threads.get(caller).root_thread_id }),
  })
  return caller === null
    ? rows
    : rows.filter((row) => isDescendant(services.threads, row, caller)).slice(0, limit ?? DEFAULT_ROWS)
}

async function logEvent(caller: Caller, request: RegistryRequest): Promise<{ readonly success: true; readonly seq: number }> {
  const threadId = required(request, 'thread_id')
  const type = required(request, 'event_type')
  if (OWN_EVENT_TYPES.has(type)) {
    throw new KiwiError('INVALID_REQUEST', `Events of type "${type}" are written by the thread itself.`, {
      suggestion: 'Choose a type of your own, such as note or progress.',
    })
  }
  accessibleThread(caller.services.threads, caller.context, threadId, { orSelf: true })
  return {
    success: true,
    seq: await caller.services.threads.logEvent(threadId, type, caller.services.redactor(threadId).json(request.payload ?? {})),
  }
}

async function getEvents(
  caller: Caller,
  request: RegistryRequest,
): Promise<{ readonly success: true; readonly events: readonly ThreadEventRow[] }> {
  const threadId = required(request, 'thread_id')
  await readable(caller, threadId)
  const { since_seq: sinceSeq, limit, last_n: last } = request
  const range = {
    ...(sinceSeq === undefined ? {} : { sinceSeq }),
    ...(limit === undefined ? {} : { limit }),
    ...(last === undefined ? {} : { last }),
  }
  return { success: true, events: caller.services.threads.events(threadId, range) }
}

async function getStatus({ services, context }: Caller, request: RegistryRequest): Promise<RegistryAnswer> {
  const { row, caller } = await readable({ services, context }, required(request, 'thread_id'))
  return { success: true, thread: row, allowed_actions: allowedActions(services.threads, row, caller) }
}

function readable({ services, context }: Caller, threadId: string): ReturnType<typeof assertAllowed> {
  return assertAllowed(services, context, { threadId, action: 'read' })
}

function required(request: RegistryRequest, field: 'thread_id' | 'directive_id' | 'status' | 'event_type'): string {
  const value = request[field]
  if (value !== undefined && value !== '') return value
  throw new KiwiError('INVALID_REQUEST', `thread_registry ${request.action} needs ${field}.`, {
    failedAt: { tool_id: 'thread_registry', config_path: null, validation_errors: [{ field, error: 'is missing' }] },
  })
}

/** Rows hold ISO 8601 in UTC and are compared as text, so a time in another form would silently match the wrong ones. */
function isoTime(field: string, text: string): string {
  const time = Date.parse(text)
  if (Number.isNaN(time))
    throw new KiwiError('INVALID_REQUEST', `Expected ${field} to be an ISO 8601 time, got "${text.slice(0, 64)}".`)
  return new Date(time).toISOString()
}
