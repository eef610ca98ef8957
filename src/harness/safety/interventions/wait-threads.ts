import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import type { ThreadRow } from '../../../threads/threads-client.ts'
import { needsPerson } from '../../../threads/status.ts'
import type { HarnessServices } from '../services.ts'
import { callerOf, holds } from './caller.ts'
import { accessibleThread, callingThread, lineOf } from './thread-access.ts'
import { isSettled, waitAnswer } from './thread-view.ts'

/** A call over MCP is answered within 45 s, so the wait itself ends a little earlier. */
const MAX_BLOCK_SECONDS = 44
const DEFAULT_PARK_SECONDS = 3600

export interface ThreadWait {
  readonly threadIds: readonly string[]
  readonly timeoutSeconds: number | undefined
  /** Inside a thread: whether the wait ends when one of them waits for a person. Absent: where the waiting thread may answer for it. */
  readonly wakeOnWaiting: boolean | undefined
}

/**
 * Waits for threads; work that was handed on is waited for where it is. Outside of a thread it blocks for at most 44 seconds and gives the
 * threads as they are then. Inside one it answers with a park, which costs neither a turn nor money until the children have ended.
 */
export async function waitForThreads(
  services: HarnessServices,
  context: ExecutionContext,
  wait: ThreadWait,
): Promise<JsonObject> {
  const { threads } = services
  const ids = [...new Set(wait.threadIds)]
  const rows = ids.map((id) => accessibleThread(threads, context, id))
  const caller = await callerOf(services, context)
  const now = ids.map((id) => threads.newestOf(id))
  const self = callingThread(context)
  if (self !== null) {
    if (now.every(isSettled)) return waitAnswer(threads, ids, caller)
    const line = lineOf(threads, self)
    const wakeOnWaiting = wait.wakeOnWaiting ?? holds(caller, 'thread.approve')
    if (wakeOnWaiting && now.some(waitsForPerson)) return waitAnswer(threads, ids, caller)
    if (rows.every(({ parent_thread_id: parent }) => parent !== null && line.has(parent))) {
      const untilMs = Date.now() + (wait.timeoutSeconds ?? DEFAULT_PARK_SECONDS) * 1000
      return { park: { for: ids, until_ms: untilMs, ...(wakeOnWaiting ? { wake_on_waiting: true } : {}) } }
    }
  }
  const timeoutMs = Math.min(wait.timeoutSeconds ?? MAX_BLOCK_SECONDS, MAX_BLOCK_SECONDS) * 1000
  const { signal } = context
  await threads.wait(ids, { timeoutMs, ...(signal === undefined ? {} : { signal }) })
  return waitAnswer(threads, ids, caller)
}

function waitsForPerson(row: ThreadRow): boolean {
  return needsPerson(row.status, row.wait_reason)
}
