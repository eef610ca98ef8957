import { withKiwi, type CliContext } from '../context.ts'
import { EXIT, exitCodeOfThread, exitCodeOfThreads, type ExitCode } from '../exit-codes.ts'
import { untilSettled } from '../follow.ts'
import type { ThreadRow } from '../../threads/threads-client.ts'
import { failureText, resultText, statusOf, threadSummary } from '../thread-text.ts'

/**
 * `kiwi wait ID…`: until every thread has ended, needs a person or is paused; work that was handed on is waited for where it is. The exit code is that of the first thread which is not 0; 1
 * when the time ran out.
 */
export async function wait(
  context: CliContext,
  ids: readonly string[],
  options: { readonly timeout?: number },
): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) => {
    const deadlineMs = options.timeout === undefined ? Infinity : Date.now() + options.timeout * 1000
    const signal = context.interrupt()
    const rows = await untilSettled(kiwi.threads(context.projectPath), ids, { signal, deadlineMs, followsWork: true })
    context.output.data(rows, () =>
      rows.map((row) => [threadSummary(row), outcomeText(row)].filter((part) => part !== '').join('\n')).join('\n\n'),
    )
    if (signal.aborted) return EXIT.interrupted
    for (const row of rows) {
      if (exitCodeOfThread(row) === null)
        context.output.talk(`${row.thread_id} is still ${statusOf(row)} after ${options.timeout} s; it goes on.`)
    }
    return exitCodeOfThreads(rows)
  })
}

/** The answer, or why there is none. */
function outcomeText(row: ThreadRow): string {
  const failure = row.status === 'error' ? failureText(row.result) : null
  return failure === null ? resultText(row.result) : `error: ${failure}`
}
