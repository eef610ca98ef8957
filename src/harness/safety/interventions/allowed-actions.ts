import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import { isTerminal, needsPerson } from '../../../threads/status.ts'
import type { ThreadRow, ThreadsClient } from '../../../threads/threads-client.ts'
import type { HarnessServices } from '../services.ts'
import { callerOf, holds, mayRun } from './caller.ts'
import type { Caller } from './caller.ts'
import { isDescendant, notItsDescendant } from './thread-access.ts'

/** Everything that can be done to a thread from outside, in the order in which it is offered. */
export const ACTIONS = [
  'read',
  'inject',
  'pause',
  'resume',
  'cancel',
  'raise_budget',
  'add_sink',
  'answer',
  'retry',
  'fork',
] as const

export type Action = (typeof ACTIONS)[number]

/** What of a thread decides what may be done to it. */
export interface Target {
  readonly status: ThreadRow['status']
  readonly waitReason: ThreadRow['wait_reason']
  /** A pause was asked for and not taken back; it may not have come into effect yet. */
  readonly isPausing: boolean
  /** A cancel was asked for. */
  readonly isCancelling: boolean
  readonly hasOpenQuestion: boolean
  /** The thread that has its work now still works. */
  readonly isHandedOn: boolean
}

/** The tool that a thread needs to be granted for each; what is read, and what is answered, has rules of its own. */
const TOOLS: Readonly<Partial<Record<Action, string>>> = {
  inject: 'inject_message',
  pause: 'pause_thread',
  resume: 'resume_thread',
  cancel: 'cancel_thread',
  raise_budget: 'raise_budget',
  add_sink: 'add_sink',
  retry: 'retry_thread',
  fork: 'fork_thread',
}

/** What `thread_registry` brings about with a status. */
const BY_REGISTRY: ReadonlySet<Action> = new Set(['pause', 'resume', 'cancel'])

/**
 * The one place that says what may be done to a thread, and by whom: what tools accept, and what every door offers.
 *
 * The operator may do all that the thread's status allows. A thread reads itself, and does to its descendants what its token grants; of
 * others it reads what `registry.read` lets it read.
 */
export function allowedActions(threads: ThreadsClient, row: ThreadRow, caller: Caller): readonly Action[] {
  const possible = actionsOf(targetOf(threads, row))
  return ACTIONS.filter((action) => possible.has(action) && mayAct(threads, row, { caller, action }))
}

/** What the status alone allows. */
export function actionsOf(target: Target): ReadonlySet<Action> {
  if (isTerminal(target.status)) return new Set(target.isHandedOn ? ['read', 'fork'] : ['read', 'retry', 'fork'])
  if (target.isCancelling) return new Set(['read', 'cancel', 'fork'])
  const actions: Set<Action> = new Set(['read', 'inject', 'cancel', 'raise_budget', 'add_sink', 'fork'])
  if (target.hasOpenQuestion) actions.add('answer')
  if (target.status !== 'paused' && !target.isPausing) actions.add('pause')
  // A thread that waits for others goes on by itself.
  if (target.isPausing || needsPerson(target.status, target.waitReason)) actions.add('resume')
  return actions
}

/**
 * The row of a thread to which the caller may do this now.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND; PERMISSION_DENIED for what this caller may never do to it, ILLEGAL_TRANSITION for what its status
 * does not allow, both with the fact `allowed_actions`.
 */
export async function assertAllowed(
  services: HarnessServices,
  context: ExecutionContext,
  asked: { readonly threadId: string; readonly action: Action },
): Promise<{ readonly row: ThreadRow; readonly caller: Caller }> {
  const { threads } = services
  const row = threads.get(asked.threadId)
  const caller = await callerOf(services, context)
  assertMayAct(threads, row, { caller, action: asked.action })
  const allowed = allowedActions(threads, row, caller)
  if (!allowed.includes(asked.action)) throw notNow(threads, row, { ...asked, allowed })
  return { row, caller }
}

/** @throws {KiwiError} PERMISSION_DENIED with the fact `allowed_actions`, whatever the status of the thread. */
export function assertMayAct(
  threads: ThreadsClient,
  row: ThreadRow,
  { caller, action }: { readonly caller: Caller; readonly action: Action },
): void {
  if (caller.kind === 'operator' || mayAct(threads, row, { caller, action })) return
  const { thread_id: threadId } = row
  const facts = { allowed_actions: [...allowedActions(threads, row, caller)] }
  if (!isDescendant(threads, row, caller.threadId)) throw notItsDescendant({ threadId, caller: caller.threadId }, facts)
  const missing = action === 'answer' ? 'thread.approve' : `thread.orchestrate and tool.execute ${JSON.stringify(TOOLS[action])}`
  throw new KiwiError(
    'PERMISSION_DENIED',
    `Thread ${caller.threadId} may not ${action} thread ${threadId}: it lacks ${missing}.`,
    {
      facts: { thread_id: threadId, caller_thread_id: caller.threadId, missing: [missing], ...facts },
      suggestion: 'Do something that is among allowed_actions, or ask a person.',
    },
  )
}

/** The error for a thread whose status does not allow an action. */
export function notNow(
  threads: ThreadsClient,
  row: ThreadRow,
  { action, allowed }: { readonly action: Action; readonly allowed: readonly Action[] },
): KiwiError {
  const { thread_id: threadId } = row
  const newest = threads.newestOf(threadId)
  const isElsewhere = newest.thread_id !== threadId
  const why = row.status === 'waiting' ? `waiting (${row.wait_reason ?? ''})` : row.status
  return new KiwiError(
    'ILLEGAL_TRANSITION',
    `Thread ${threadId} is ${why}, which does not allow ${action}.${isElsewhere ? ` Thread ${newest.thread_id} has its work now.` : ''}`,
    {
      facts: {
        thread_id: threadId,
        status: row.status,
        action,
        allowed_actions: [...allowed],
        ...(isElsewhere ? { newest_thread_id: newest.thread_id } : {}),
      },
      suggestion: isElsewhere
        ? `Do it to ${newest.thread_id}.`
        : allowed.length === 0
          ? 'Nothing can be done to it.'
          : `It allows ${allowed.join(', ')}.`,
    },
  )
}

function mayAct(
  threads: ThreadsClient,
  row: ThreadRow,
  { caller, action }: { readonly caller: Caller; readonly action: Action },
): boolean {
  if (caller.kind === 'operator') return true
  if (action === 'read' && (row.thread_id === caller.threadId || holds(caller, 'registry.read'))) return true
  if (!isDescendant(threads, row, caller.threadId)) return false
  if (action === 'answer') return holds(caller, 'thread.approve')
  if (BY_REGISTRY.has(action) && holds(caller, 'registry.write')) return true
  const tool = TOOLS[action]
  return holds(caller, 'thread.orchestrate') && (tool === undefined || mayRun(caller, tool))
}

function targetOf(threads: ThreadsClient, row: ThreadRow): Target {
  const { thread_id: threadId, status } = row
  const base = { status, waitReason: row.wait_reason }
  if (isTerminal(status)) {
    const isHandedOn = row.continued_by !== null && !isTerminal(threads.newestOf(threadId).status)
    return { ...base, isPausing: false, isCancelling: false, hasOpenQuestion: false, isHandedOn }
  }
  return {
    ...base,
    isPausing: status !== 'paused' && isPauseOpen(threads, threadId),
    isCancelling: threads.tokens.standing(threadId) === 'cancelled',
    hasOpenQuestion: threads.approvals.list({ thread_id: threadId, status: 'pending', limit: 1 }).length > 0,
    isHandedOn: false,
  }
}

/** Interventions that are looked at for a pause; with more in a row that are none, a resume is just not offered. */
const LOOKED_AT = 50

/** True when the last that was said of pausing was to pause. */
function isPauseOpen(threads: ThreadsClient, threadId: string): boolean {
  const said = threads.events(threadId, { type: 'intervention', last: LOOKED_AT })
  return said.findLast(({ payload: { action } }) => action === 'pause' || action === 'resume')?.payload['action'] === 'pause'
}
