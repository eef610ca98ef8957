import type { JsonObject } from '../../../json.ts'
import { isTerminal } from '../../../threads/status.ts'
import type { ThreadRow, ThreadsClient } from '../../../threads/threads-client.ts'

/** A thread with everything below it. Money is nano-dollars. */
export interface TreeNode extends JsonObject {
  readonly thread_id: string
  readonly directive_id: string
  readonly status: ThreadRow['status']
  readonly end_reason: ThreadRow['end_reason']
  readonly wait_reason: ThreadRow['wait_reason']
  readonly turn: number
  readonly cost_nano: number
  /** With everything below, detached threads too. */
  readonly subtree_cost_nano: number
  /** What the account that binds this thread still has; null is unlimited. */
  readonly budget_left_nano: number | null
  readonly guarantee: ThreadRow['guarantee']
  readonly detached: boolean
  readonly chain_id: string
  readonly continues: { readonly thread_id: string; readonly how: string } | null
  readonly children: readonly TreeNode[]
  /** The thread that has the work now, and what is below that. */
  readonly handed_on: TreeNode | null
  /** There are more threads than one look gives. */
  readonly is_cut: boolean
}

/** Threads of one tree that are looked at. */
const MAX_THREADS = 1_000

/** A thread and everything below it, oldest first. Work that was handed on stands with the thread that handed it on. */
export function threadTree(threads: ThreadsClient, row: ThreadRow): TreeNode {
  const look = { left: MAX_THREADS }
  return nodeOf(threads, row, look)
}

function nodeOf(threads: ThreadsClient, row: ThreadRow, look: { left: number }): TreeNode {
  look.left -= 1
  const below = threads
    .list({ parent_thread_id: row.thread_id, order_by: 'created_at', limit: MAX_THREADS })
    .filter(({ continues }) => continues?.how !== 'handoff')
  const children: TreeNode[] = []
  for (const child of below) if (look.left > 0) children.push(nodeOf(threads, child, look))
  const handedOn = row.continued_by === null || look.left <= 0 ? null : nodeOf(threads, threads.get(row.continued_by), look)
  const own = typeof row.total_usage['cost_nano'] === 'number' ? row.total_usage['cost_nano'] : 0
  const parts = handedOn === null ? children : [...children, handedOn]
  return {
    thread_id: row.thread_id,
    directive_id: row.directive_id,
    status: row.status,
    end_reason: row.end_reason,
    wait_reason: row.wait_reason,
    turn: row.turn,
    cost_nano: own,
    subtree_cost_nano: parts.reduce((sum, { subtree_cost_nano: nano }) => sum + nano, own),
    budget_left_nano: threads.budget(row.thread_id).availableNano,
    guarantee: row.guarantee,
    detached: row.on_parent_end === 'detach',
    chain_id: row.chain_id,
    continues: row.continues,
    children,
    handed_on: handedOn,
    is_cut: children.length < below.length || (row.continued_by !== null && handedOn === null),
  }
}

/** What a cancel of this thread reaches: itself and what is below it and has not ended, but for detached threads and what is below those. */
export function cancelReach(tree: TreeNode): { readonly reached: number; readonly detached: readonly string[] } {
  const detached: string[] = []
  let reached = 0
  const visit = (node: TreeNode, isTop: boolean): void => {
    const hasEnded = isTerminal(node.status)
    if (node.detached && !isTop) {
      if (!hasEnded) detached.push(node.thread_id)
      return
    }
    if (!hasEnded) reached += 1
    for (const child of node.children) visit(child, false)
    if (node.handed_on !== null) visit(node.handed_on, false)
  }
  visit(tree, true)
  return { reached, detached }
}
