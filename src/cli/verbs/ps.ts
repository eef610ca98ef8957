import type { Status } from '../../threads/engine.ts'
import type { ThreadRow } from '../../threads/threads-client.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { threadTable } from '../thread-text.ts'

/** `kiwi ps`: unfinished threads, newest first; `--all` has the finished ones too, `--status` one status only. */
export async function ps(context: CliContext, options: { readonly all?: boolean; readonly status?: Status }): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) => {
    const query = {
      order_by: 'created_at_desc',
      limit: 1000,
      ...(options.status === undefined ? {} : { status: options.status }),
    } as const
    const found = kiwi.threads(context.projectPath).list(query)
    const rows = options.all === true || options.status !== undefined ? found : found.filter(isUnfinished)
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
