import type { Json, JsonObject } from '../../../json.ts'
import type { ApprovalRow } from '../../../threads/approvals/approval.ts'
import { isTerminal } from '../../../threads/status.ts'
import type { ThreadEventRow, ThreadRow, ThreadsClient } from '../../../threads/threads-client.ts'
import { budgetLines } from './budget-lines.ts'
import type { BudgetLine } from './budget-lines.ts'
import { failedCalls } from './failed-calls.ts'
import type { FailedCall } from './failed-calls.ts'

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
const MOST_DENIALS = 20
const MAX_DEPTH = 64

/** @throws {KiwiError} THREAD_NOT_FOUND */
export function explainThread(threads: ThreadsClient, threadId: string, options: { readonly events?: number } = {}): Explanation {
  const row = threads.get(threadId)
  const denials = threads
    .events(threadId, { type: 'permission_denied', last: MOST_DENIALS })
    .map(({ seq, ts, payload }) => ({ seq, ts, ...payload }))
  const failures = failedCalls(threads, threadId)
  const questions = threads.approvals.list({ thread_id: threadId }).toReversed()
  const budget = budgetLines(row)
  return {
    thread_id: threadId,
    verdict: verdictOf(row, { denials, failures, questions, budget }),
    status: row.status,
    end_reason: row.end_reason,
    wait_reason: row.wait_reason,
    ancestry: ancestryOf(threads, row).map(placeOf),
    chain: threads.list({ chain_id: row.chain_id, order_by: 'created_at', limit: 1000 }).map(placeOf),
    budget,
    denials,
    failures,
    questions,
    children: threads
      .list({ parent_thread_id: threadId, order_by: 'created_at', limit: 1000 })
      .filter(({ status }) => status !== 'completed')
      .map(placeOf),
    timeline: threads.events(threadId, { last: options.events ?? MOST_EVENTS }),
  }
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

interface Evidence {
  readonly denials: readonly JsonObject[]
  readonly failures: readonly FailedCall[]
  readonly questions: readonly ApprovalRow[]
  readonly budget: readonly BudgetLine[]
}

function verdictOf(row: ThreadRow, evidence: Evidence): string {
  if (!isTerminal(row.status)) return waitingVerdict(row, evidence)
  const message = messageIn(row.result)
  if (row.status === 'completed') {
    if (row.continued_by !== null) return `It handed its work on to ${row.continued_by}.`
    return evidence.denials.length === 0
      ? 'It completed.'
      : `It completed, although ${evidence.denials.length === 1 ? 'a call was' : `${evidence.denials.length} calls were`} denied: ${missingOf(evidence.denials)}.`
  }
  const reason = row.end_reason ?? row.status
  const told = message === null ? '' : `: ${message}`
  if (row.end_reason === 'permission_denied')
    return `It ended with permission_denied${told} It lacked ${missingOf(evidence.denials)}.`
  const reached = evidence.budget.find(({ reached: isReached }) => isReached)
  if (message === null && reached !== undefined)
    return `It ended with ${reason}: ${reached.limit} is reached, ${reached.used} of ${reached.max}.`
  return `It ended with ${reason}${told === '' ? '.' : told}`
}

function waitingVerdict(row: ThreadRow, { questions }: Evidence): string {
  const open = questions.find(({ status }) => status === 'pending')
  if (open !== undefined) return `It waits for an answer to ${open.approval_id} until ${open.expires_at}: ${open.title}`
  if (row.status === 'waiting') return `It waits (${row.wait_reason ?? 'unknown'}).`
  return row.status === 'paused' ? 'It is paused.' : `It is ${row.status}, in turn ${row.turn + 1}.`
}

/** What the denied calls lacked, each once. */
function missingOf(denials: readonly JsonObject[]): string {
  const missing = denials.flatMap(({ missing: list }) => (Array.isArray(list) ? list.map(String) : []))
  return missing.length === 0 ? 'what it tried' : [...new Set(missing)].join(', ')
}

function messageIn(result: Json): string | null {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) return null
  const { message, error } = result as JsonObject
  if (typeof message === 'string') return message
  return error === undefined ? null : messageIn(error)
}
