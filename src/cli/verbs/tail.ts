import type { ThreadEventRow } from '../../threads/threads-client.ts'
import { contextLimitOf } from '../context-limit.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { EXIT, exitCodeOfThread, type ExitCode } from '../exit-codes.ts'
import { follow } from '../follow.ts'
import { widthOf } from '../format.ts'
import { createStatusLine } from '../status-line.ts'
import { eventLine, saidIn } from '../thread-text.ts'

/** `kiwi tail ID`: the last events on stdout; `-f` goes on, with live tokens on stderr, and exits with the thread's own code. */
export async function tail(
  context: CliContext,
  threadId: string,
  options: { readonly lines: number; readonly follow?: boolean },
): Promise<ExitCode> {
  const { output } = context
  const width = widthOf(process.stdout, 200)
  return withKiwi(context, async (kiwi) => {
    const threads = kiwi.threads(context.projectPath)
    const print = (event: ThreadEventRow): void => output.record(event, () => eventLine(event, width, saidIn(threads, event)))
    const contextLimit = contextLimitOf(kiwi.config, threads.get(threadId)) // an unknown thread is an error, not an empty list
    const [newest] = threads.events(threadId, { last: 1 })
    const events = options.lines === 0 ? [] : threads.events(threadId, { last: Math.min(options.lines, MAX_LINES) })
    events.forEach(print)
    if (options.follow !== true) return EXIT.ok
    const screen = createStatusLine(context.stderr, (text) => output.live(text), context.env)
    const sinceSeq = events.at(-1)?.seq ?? newest?.seq ?? 0
    const onEvent = (event: ThreadEventRow): void => {
      screen.freshLine()
      print(event)
    }
    const followed = await follow({
      threads,
      threadId,
      screen,
      sinceSeq,
      onEvent,
      contextLimit,
      signal: context.interrupt(),
    })
    return followed.kind === 'interrupted' ? EXIT.interrupted : (exitCodeOfThread(followed.row) ?? EXIT.failed)
  })
}

const MAX_LINES = 1000
