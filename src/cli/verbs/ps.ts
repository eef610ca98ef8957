import type { Status } from '../../threads/engine.ts'
import type { ThreadRow } from '../../threads/threads-client.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { threadTable } from '../thread-text.ts'

export interface PsOptions {
  readonly all?: boolean
  readonly tree?: boolean
  readonly status?: Status
}

/**
 * `kiwi ps`: unfinished threads, newest first; `--all` has the finished ones too, `--status` one status only. `--tree` shows the trees that
 * these are in.
 */
export async function ps(context: CliContext, options: PsOptions): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) => {
    const query = {
      order_by: 'created_at_desc',
      limit: 1000,
      ...(options.status === undefined ? {} : { status: options.status }),
    } as const
    const threads = kiwi.threads(context.projectPath)
    const found = threads.list(query)
    const rows = options.all === true || options.status !== undefined ? found : found.filter(isUnfinished)
    if (options.tree === true) {
      const { threadTree } = await import('../../harness/safety/interventions/thread-tree.ts')
      const { treeTable } = await import('../tree-text.ts')
      const roots = [...new Set(rows.map((row) => row.root_thread_id))]
      const trees = roots.map((root) => threadTree(threads, threads.get(root)))
      context.output.data(trees, () => (trees.length === 0 ? noneText(found.length) : treeTable(trees)))
      return EXIT.ok
    }
    context.output.data(rows, () => (rows.length === 0 ? noneText(found.length) : threadTable(rows, Date.now())))
    return EXIT.ok
  })
}

function isUnfinished(row: ThreadRow): boolean {
  return row.status !== 'completed' && row.status !== 'error' && row.status !== 'cancelled'
}

function noneText(finished: number): string {
  return finished === 0
    ? 'No threads yet. Spawn one: kiwi run DIRECTIVE'
    : `No unfinished threads (${finished} finished: kiwi ps --all).`
}
