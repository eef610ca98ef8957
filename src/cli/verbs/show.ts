import type { ThreadRow } from '../../threads/threads-client.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { dollars, fields, numberIn, widthOf } from '../format.ts'
import { eventLine, resultText, saidIn, statusOf, tokensOf } from '../thread-text.ts'

const LAST_EVENTS = 10

/** `kiwi show ID`: everything about one thread in one screen; JSON is the registry row with `events`. */
export async function show(context: CliContext, threadId: string): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) => {
    const threads = kiwi.threads(context.projectPath)
    const row = threads.get(threadId)
    const events = threads.events(threadId, { last: LAST_EVENTS })
    const width = widthOf(process.stdout, 160)
    context.output.data({ ...row, events }, () =>
      [
        rowText(row),
        '',
        'last events',
        ...events.map((event) => `  ${eventLine(event, width - 2, saidIn(threads, event))}`),
        ...resultLines(row),
      ].join('\n'),
    )
    return EXIT.ok
  })
}

function rowText(row: ThreadRow): string {
  const usage = row.total_usage
  return fields([
    ['thread', row.thread_id],
    ['directive', row.directive_id],
    ['status', statusOf(row)],
    ['turns', String(row.turn)],
    ['tokens', `${tokensOf(usage)} (${usageText(usage)})`],
    ['cost', dollars(numberIn(usage, 'cost_nano'))],
    ['budget', `${JSON.stringify(row.cost_budget)}, ${row.guarantee}`],
    ['permissions', JSON.stringify(row.permission_context)],
    ['parent', row.parent_thread_id],
    ['root', row.root_thread_id === row.thread_id ? null : row.root_thread_id],
    ['created', row.created_at],
    ['updated', row.updated_at],
    ['ended', row.ended_at],
    ['transcript', row.transcript_path],
  ])
}

function usageText(usage: ThreadRow['total_usage']): string {
  const cached = numberIn(usage, 'cache_read')
  const written = numberIn(usage, 'cache_write_5m') + numberIn(usage, 'cache_write_1h')
  const output = numberIn(usage, 'output') + numberIn(usage, 'reasoning')
  return `input ${numberIn(usage, 'input_uncached')}, cache read ${cached}, cache write ${written}, output ${output}`
}

function resultLines(row: ThreadRow): readonly string[] {
  const text = resultText(row.result)
  return text === '' ? [] : ['', 'result', text]
}
