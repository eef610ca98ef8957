import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import type { HarnessServices } from '../services.ts'
import { lineOf } from './thread-access.ts'
import { intervene } from './thread-control.ts'
import type { SignalReceipt } from './thread-control.ts'
import { cancelReach, threadTree } from './thread-tree.ts'

export interface CancelReceipt extends SignalReceipt {
  /** Threads that end by it, this one included. */
  readonly reached: number
  /** Detached threads below it, which go on with what is below them. */
  readonly detached: readonly string[]
}

/** Cancels a thread and what is below it. The receipt counts what was there just before. */
export async function cancelThread(
  services: HarnessServices,
  context: ExecutionContext,
  cancel: { readonly threadId: string; readonly mode: 'graceful' | 'now'; readonly reason: string },
): Promise<CancelReceipt> {
  const { threadId, mode, reason } = cancel
  const { threads } = services
  // From the first of its line: what that spawned ends with it too.
  const first = [...lineOf(threads, threadId)].at(-1) ?? threadId
  // Before: afterwards the first of them may have ended already.
  const reach = cancelReach(threadTree(threads, threads.get(first)))
  const receipt = await intervene(services, context, { threadId, action: 'cancel', reason, body: { mode } })
  return { ...receipt, ...reach }
}
