import type { ThreadEventRow, ThreadsClient } from '../../threads/threads-client.ts'
import { contextLimitOf } from '../context-limit.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { EXIT, exitCodeOfThread, type ExitCode } from '../exit-codes.ts'
import { follow } from '../follow.ts'
import { widthOf } from '../format.ts'
import { createStatusLine } from '../status-line.ts'
import { eventLine, saidIn } from '../thread-text.ts'
import { waitingHint } from '../waiting-hint.ts'

export interface TailOptions {
  readonly lines: number
  /** Instead of the last events, all after this one. */
  readonly since?: number
  /** Only events of these types; empty: all. */
  readonly type: readonly string[]
  readonly follow?: boolean
}

/** `kiwi tail ID`: the last events on stdout; `-f` goes on, with live tokens on stderr, and exits with the thread's own code. */
export async function tail(context: CliContext, threadId: string, options: TailOptions): Promise<ExitCode> {
  const { output } = context
  const width = widthOf(process.stdout, 200)
  return withKiwi(context, async (kiwi) => {
    const threads = kiwi.threads(context.projectPath)
    const isWanted = ({ event_type: type }: ThreadEventRow): boolean => options.type.length === 0 || options.type.includes(type)
    const print = (event: ThreadEventRow): void => output.record(event, () => eventLine(event, width, saidIn(threads, event)))
    const contextLimit = contextLimitOf(kiwi.config, threads.get(threadId)) // an unknown thread is an error, not an empty list
    const [newest] = threads.events(threadId, { last: 1 })
    for (const event of eventsFor(threads, threadId, options, newest?.seq ?? 0)) print(event)
    if (options.follow !== true) return EXIT.ok
    const screen = createStatusLine(context.stderr, (text) => output.live(text), context.env)
    // What came while these were read is followed; what is older than `newest` was read.
    const sinceSeq = newest?.seq ?? 0
    const onEvent = (event: ThreadEventRow): void => {
      if (!isWanted(event)) return
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
    if (followed.kind === 'interrupted') return EXIT.interrupted
    const code = exitCodeOfThread(followed.row) ?? EXIT.failed
    if (code === EXIT.waiting) output.talk(waitingHint(threads, followed.row))
    return code
  })
}

const MAX_LINES = 1000
const PAGE = 1000

function* eventsFor(
  threads: ThreadsClient,
  threadId: string,
  { lines, since, type: types }: TailOptions,
  newest: number,
): Generator<ThreadEventRow> {
  if (since === undefined) {
    if (lines === 0) return
    const last = Math.min(lines, MAX_LINES)
    const found =
      types.length === 0
        ? threads.events(threadId, { last })
        : types.flatMap((type) => threads.events(threadId, { last, type })).toSorted((left, right) => left.seq - right.seq)
    yield* found.filter(({ seq }) => seq <= newest).slice(-last)
    return
  }
  for (let seq = since; seq < newest;) {
    const page = threads.events(threadId, { sinceSeq: seq, limit: PAGE })
    for (const event of page) if (event.seq <= newest && (types.length === 0 || types.includes(event.event_type))) yield event
    const last = page.at(-1)
    if (last === undefined) return
    seq = last.seq
  }
}
