import { withKiwi, type CliContext } from '../context.ts'
import { EXIT, exitCodeOfThread, exitCodeOfThreads, type ExitCode } from '../exit-codes.ts'
import { untilSettled } from '../follow.ts'
import type { ThreadRow } from '../../threads/threads-client.ts'
import { failureText, resultText, statusOf, threadSummary } from '../thread-text.ts'
import { waitingHint } from '../waiting-hint.ts'

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
    const threads = kiwi.threads(context.projectPath)
    const rows = await untilSettled(threads, ids, { signal, deadlineMs, followsWork: true })
    context.output.data(rows, () =>
      rows.map((row) => [threadSummary(row), outcomeText(row)].filter((part) => part !== '').join('\n')).join('\n\n'),
    )
    if (signal.aborted) return EXIT.interrupted
    for (const row of rows) {
      const code = exitCodeOfThread(row)
      if (code === EXIT.waiting) context.output.talk(waitingHint(threads, row))
      if (code === null) context.output.talk(`${row.thread_id} is still ${statusOf(row)} after ${options.timeout} s; it goes on.`)
    }
    return exitCodeOfThreads(rows)
  })
}

/** The answer, or why there is none. */
function outcomeText(row: ThreadRow): string {
  const failure = failureText(row)
  return failure === null ? resultText(row.result) : `${row.status}: ${failure}`
}
