import type { TreeNode } from '../harness/safety/interventions/thread-tree.ts'
import { isTerminal } from '../threads/status.ts'
import { dollars, table } from './format.ts'
import { statusOf } from './thread-text.ts'

/** Trees of threads as one table: each thread with its status, turns, cost, the cost with all below it, and the budget that is left. */
export function treeTable(trees: readonly TreeNode[]): string {
  const rows = trees.flatMap((tree) => rowsOf(tree, { own: '', below: '' }, ''))
  return table(['THREAD', 'STATUS', 'TURN', 'COST', 'IN ALL', 'LEFT', 'DIRECTIVE'], rows)
}

/** What stands before the name of a thread, and before those below it. */
interface Indent {
  readonly own: string
  readonly below: string
}

function rowsOf(node: TreeNode, { own, below }: Indent, mark: string): readonly (readonly string[])[] {
  const { children, handed_on: handedOn, continues, detached, budget_left_nano: left } = node
  const marks = [
    mark,
    ...(continues === null || continues.how === 'handoff' ? [] : [`${continues.how} of ${continues.thread_id}`]),
    ...(detached ? ['detached'] : []),
  ].filter((text) => text !== '')
  const row = [
    `${own}${node.thread_id}${marks.length === 0 ? '' : ` (${marks.join(', ')})`}`,
    statusOf(node),
    String(node.turn),
    dollars(node.cost_nano),
    dollars(node.subtree_cost_nano),
    // What an ended thread left has gone back to the account above it.
    left === null || isTerminal(node.status) ? '-' : dollars(left),
    node.directive_id,
  ]
  const parts = [
    ...children.map((child) => ({ node: child, mark: '' })),
    ...(handedOn === null ? [] : [{ node: handedOn, mark: 'goes on with its work' }]),
  ]
  const lower = parts.flatMap((part, index) => {
    const isLast = index === parts.length - 1 && !node.is_cut
    const indent = { own: `${below}${isLast ? '└─ ' : '├─ '}`, below: `${below}${isLast ? '   ' : '│  '}` }
    return rowsOf(part.node, indent, part.mark)
  })
  return [row, ...lower, ...(node.is_cut ? [[`${below}└─ … more`, '', '', '', '', '', '']] : [])]
}
