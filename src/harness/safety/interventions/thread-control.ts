import { randomUUID } from 'node:crypto'
import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { SignalKind } from '../../../threads/engine.ts'
import type { ThreadRow, ThreadsClient } from '../../../threads/threads-client.ts'
import { hash } from '../limits/loops.ts'
import type { HarnessServices } from '../services.ts'
import { allowedActions, assertMayAct, notNow } from './allowed-actions.ts'
import type { Action } from './allowed-actions.ts'
import { callerOf } from './caller.ts'
import { callingThread } from './thread-access.ts'

/** What every intervention answers: it is durable, and takes effect at the thread's next turn boundary. */
export interface SignalReceipt {
  readonly success: true
  readonly thread_id: string
  readonly signal: SignalKind
  /** As it was when the signal was written. */
  readonly status: ThreadRow['status']
  /** What the caller may do to it now. */
  readonly allowed_actions: readonly Action[]
}

/** An intervention that is a signal to a thread. */
export interface Intervention {
  readonly threadId: string
  readonly action: SentAction
  /** Logged with who did it; empty for none. */
  readonly reason: string
  /** What the signal holds besides. */
  readonly body: JsonObject
}

type SentAction = Extract<Action, 'inject' | 'pause' | 'resume' | 'cancel' | 'raise_budget' | 'add_sink'>

const SIGNALS: Readonly<Record<SentAction, SignalKind>> = {
  inject: 'inject',
  pause: 'pause',
  resume: 'resume',
  cancel: 'cancel',
  raise_budget: 'budget',
  add_sink: 'sink',
}

/**
 * Writes one signal for a thread, with who sends it, by which token or door, and why. Inside a thread the signal's id follows from the
 * step, so that a repeated step sends it once.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND, PERMISSION_DENIED, ILLEGAL_TRANSITION, BUDGET_EXCEEDED.
 */
export async function intervene(
  services: HarnessServices,
  context: ExecutionContext,
  { threadId, action, reason, body }: Intervention,
): Promise<SignalReceipt> {
  const { threads } = services
  const row = threads.get(threadId)
  const caller = await callerOf(services, context)
  assertMayAct(threads, row, { caller, action })
  const { __idempotency_key: key } = context
  const kind = SIGNALS[action]
  const id = key === undefined ? randomUUID() : `${kind}:${hash(key)}`
  // What a repeated step did already may have changed what is allowed.
  if (key === undefined || !isSent(threads, threadId, id)) {
    const allowed = allowedActions(threads, row, caller)
    if (!allowed.includes(action)) throw notNow(threads, row, { action, allowed })
    const said = services.redactor(callingThread(context) ?? threadId).json({ ...body, reason })
    await threads.signal(threadId, { id, kind, body: { ...said, by: { ...caller.by } } })
  }
  const allowed = allowedActions(threads, threads.get(threadId), caller)
  return { success: true, thread_id: threadId, signal: kind, status: row.status, allowed_actions: allowed }
}

function isSent(threads: ThreadsClient, threadId: string, signalId: string): boolean {
  return threads
    .events(threadId, { type: 'intervention', last: LOOKED_AT })
    .some(({ payload }) => payload['signal_id'] === signalId)
}

/** A step is repeated soon after it was interrupted. */
const LOOKED_AT = 1_000

/** What can be added to a thread's limits. */
const AMOUNTS = ['add_usd', 'add_turns', 'add_tokens', 'add_tool_calls', 'add_seconds'] as const

/** Amounts that only an operator may add; `allowed` are those that come out of the calling thread's own. */
export function refuseAmountsFromThreads(context: ExecutionContext, amounts: JsonObject, allowed: readonly string[] = []): void {
  const given = AMOUNTS.filter((name) => Object.hasOwn(amounts, name) && !allowed.includes(name))
  if (callingThread(context) === null || given.length === 0) return
  throw new KiwiError(
    'PERMISSION_DENIED',
    `A thread cannot raise the limits of another: ${given.join(', ')} is the operator's.`,
    {
      facts: { missing: given },
      suggestion:
        allowed.length === 0
          ? 'Resume the thread without them; raise_budget gives it money of your own.'
          : `Give ${allowed.join(', ')}, or let the operator add to its limits.`,
    },
  )
}

/**
 * More of what a thread lacks. From a thread only money, and only to what is below it: the ledger takes it out of the account that the
 * descendant's own came from.
 *
 * @throws {KiwiError} as `intervene`, and INVALID_REQUEST where nothing is added.
 */
export async function raiseBudget(
  services: HarnessServices,
  context: ExecutionContext,
  raise: { readonly threadId: string; readonly reason: string; readonly amounts: JsonObject },
): Promise<SignalReceipt> {
  const { threadId, reason, amounts } = raise
  if (!AMOUNTS.some((name) => Object.hasOwn(amounts, name)))
    throw new KiwiError('INVALID_REQUEST', `raise_budget needs one of ${AMOUNTS.join(', ')}.`)
  refuseAmountsFromThreads(context, amounts, ['add_usd'])
  return intervene(services, context, { threadId, action: 'raise_budget', reason, body: amounts })
}
