import { randomUUID } from 'node:crypto'
import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { SignalKind } from '../../../threads/engine.ts'
import type { ThreadRow } from '../../../threads/threads-client.ts'
import { hash } from '../limits/loops.ts'
import type { HarnessServices } from '../services.ts'
import { accessibleThread, callingThread } from './thread-access.ts'
import { isSettled, waitAnswer } from './thread-view.ts'

/** What every intervention answers: it is durable, and takes effect at the thread's next turn boundary. */
export interface SignalReceipt {
  readonly success: true
  readonly thread_id: string
  readonly signal: SignalKind
  /** As it was when the signal was written. */
  readonly status: ThreadRow['status']
}

/** Longest that a call outside of a thread blocks: every door answers within 45 seconds. */
/** A call over MCP is answered within 45 s, so the wait itself ends a little earlier. */
const MAX_BLOCK_SECONDS = 44
const DEFAULT_PARK_SECONDS = 3600

/**
 * Writes one signal for a thread that the caller may act on. Inside a thread the signal's id follows from the step, so that a repeated
 * step sends it once.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND, PERMISSION_DENIED, ILLEGAL_TRANSITION.
 */
export async function sendSignal(
  services: HarnessServices,
  context: ExecutionContext,
  signal: { readonly threadId: string; readonly kind: SignalKind; readonly body: JsonObject },
): Promise<SignalReceipt> {
  const { __idempotency_key: key } = context
  const row = accessibleThread(services.threads, context, signal.threadId)
  const id = key === undefined ? randomUUID() : `${signal.kind}:${hash(key)}`
  const body = services.redactor(callingThread(context) ?? signal.threadId).json(signal.body)
  await services.threads.signal(signal.threadId, { id, kind: signal.kind, body })
  return { success: true, thread_id: signal.threadId, signal: signal.kind, status: row.status }
}

/** Amounts that only an operator may add: a thread's children live on what it was given itself. */
export function refuseAmountsFromThreads(context: ExecutionContext, amounts: JsonObject): void {
  const given = Object.keys(amounts)
  if (callingThread(context) === null || given.length === 0) return
  throw new KiwiError(
    'PERMISSION_DENIED',
    `A thread cannot raise the limits of another: ${given.join(', ')} is the operator's.`,
    {
      facts: { missing: given },
      suggestion: 'Resume the thread without them, or let the operator add to its limits.',
    },
  )
}

/**
 * Waits for threads. Outside of a thread it blocks for at most 45 seconds and gives the rows as they are then. Inside one it answers
 * with a park, which costs neither a turn nor money until the children have ended.
 */
export async function waitForThreads(
  services: HarnessServices,
  context: ExecutionContext,
  wait: { readonly threadIds: readonly string[]; readonly timeoutSeconds: number | undefined },
): Promise<JsonObject> {
  const ids = [...new Set(wait.threadIds)]
  const rows = ids.map((id) => accessibleThread(services.threads, context, id))
  if (rows.every(isSettled)) return waitAnswer(rows)
  const caller = callingThread(context)
  if (caller !== null && rows.every((row) => row.parent_thread_id === caller)) {
    return { park: { for: ids, until_ms: Date.now() + (wait.timeoutSeconds ?? DEFAULT_PARK_SECONDS) * 1000 } }
  }
  const timeoutMs = Math.min(wait.timeoutSeconds ?? MAX_BLOCK_SECONDS, MAX_BLOCK_SECONDS) * 1000
  const { signal } = context
  return waitAnswer(await services.threads.wait(ids, { timeoutMs, ...(signal === undefined ? {} : { signal }) }))
}
