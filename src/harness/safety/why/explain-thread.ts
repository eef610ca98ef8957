import type { JsonObject } from '../../../json.ts'
import type { ApprovalRow } from '../../../threads/approvals/approval.ts'
import type { ThreadEventRow, ThreadRow, ThreadsClient } from '../../../threads/threads-client.ts'
import { budgetLines } from './budget-lines.ts'
import type { BudgetLine } from './budget-lines.ts'
import { failedCalls } from './failed-calls.ts'
import type { FailedCall } from './failed-calls.ts'
import { hookRuns } from './hook-runs.ts'
import type { HookRun } from './hook-runs.ts'
import { loggedEvents } from './logged-events.ts'
import { verdictOf } from './verdict.ts'

/** Why a thread is where it is, from its row, its log and what stands around it. Everything is in the order in which it happened. */
export interface Explanation {
  readonly thread_id: string
  /** One sentence that answers the question. */
  readonly verdict: string
  readonly status: ThreadRow['status']
  readonly end_reason: ThreadRow['end_reason']
  readonly wait_reason: ThreadRow['wait_reason']
  /** From the root of the tree down to the thread. */
  readonly ancestry: readonly Place[]
  /** All threads of its chain, the first one first; one entry where nothing was continued. */
  readonly chain: readonly Place[]
  /** Limits that the thread had, with what was used of them; a reached one is marked. */
  readonly budget: readonly BudgetLine[]
  readonly denials: readonly JsonObject[]
  /** Tool calls that failed, the last ones, each with the link of its chain that failed. */
  readonly failures: readonly FailedCall[]
  readonly questions: readonly ApprovalRow[]
  /** What hooks were asked, the last ones, each with what it said. */
  readonly hooks: readonly HookRun[]
  /** The checks that failed when they were looked at last. */
  readonly checks: readonly JsonObject[]
  /** What others did to the thread, the last ones, with who and why. */
  readonly interventions: readonly JsonObject[]
  /** How it came to hand its work on, or why it did not. */
  readonly handoffs: readonly JsonObject[]
  /** Children that did not complete. */
  readonly children: readonly Place[]
  /** The last events; `seq` leads to the rest. */
  readonly timeline: readonly ThreadEventRow[]
}

interface Place extends JsonObject {
  readonly thread_id: string
  readonly directive_id: string
  readonly status: string
  readonly end_reason: string | null
}

const MOST_EVENTS = 60
const MAX_DEPTH = 64

/** @throws {KiwiError} THREAD_NOT_FOUND */
export function explainThread(threads: ThreadsClient, threadId: string, options: { readonly events?: number } = {}): Explanation {
  const row = threads.get(threadId)
  const evidence = {
    denials: loggedEvents(threads, threadId, 'permission_denied'),
    failures: failedCalls(threads, threadId),
    questions: threads.approvals.list({ thread_id: threadId }).toReversed(),
    budget: budgetLines(threads, row),
    hooks: hookRuns(threads, threadId),
    checks: failedChecks(threads, threadId),
    interventions: loggedEvents(threads, threadId, 'intervention'),
    handoffs: loggedEvents(threads, threadId, 'handoff'),
  }
  return {
    thread_id: threadId,
    verdict: verdictOf(row, evidence),
    status: row.status,
    end_reason: row.end_reason,
    wait_reason: row.wait_reason,
    ancestry: ancestryOf(threads, row).map(placeOf),
    chain: threads.list({ chain_id: row.chain_id, order_by: 'created_at', limit: 1000 }).map(placeOf),
    ...evidence,
    children: threads
      .list({ parent_thread_id: threadId, order_by: 'created_at', limit: 1000 })
      .filter(({ status }) => status !== 'completed')
      .map(placeOf),
    timeline: threads.events(threadId, { last: options.events ?? MOST_EVENTS }),
  }
}

/** A check that passed later has failed no more. */
function failedChecks(threads: ThreadsClient, threadId: string): readonly JsonObject[] {
  const passed = new Map(loggedEvents(threads, threadId, 'check_passed').map(({ check, seq }) => [check, Number(seq)]))
  const failed = new Map(loggedEvents(threads, threadId, 'check_failed').map((report) => [report['check'], report]))
  return [...failed.values()].filter(({ check, seq }) => Number(seq) > (passed.get(check) ?? 0))
}

function ancestryOf(threads: ThreadsClient, row: ThreadRow): readonly ThreadRow[] {
  const path = [row]
  for (let parent = row.parent_thread_id; parent !== null && path.length < MAX_DEPTH;) {
    const above = threads.get(parent)
    path.unshift(above)
    parent = above.parent_thread_id
  }
  return path
}

function placeOf({ thread_id, directive_id, status, end_reason }: ThreadRow): Place {
  return { thread_id, directive_id, status, end_reason }
}
