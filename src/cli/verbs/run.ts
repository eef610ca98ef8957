import type { Kiwi } from '../../compose.ts'
import type { JsonObject } from '../../json.ts'
import type { ErrorEnvelope } from '../../kernel/errors.ts'
import { KiwiError } from '../../kernel/errors.ts'
import type { ThreadEventRow } from '../../threads/threads-client.ts'
import { parseAssignments } from '../assignments.ts'
import { contextLimitOf } from '../context-limit.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { executeTool } from '../execute-tool.ts'
import { EXIT, exitCodeOfError, exitCodeOfThread, type ExitCode } from '../exit-codes.ts'
import { noteOf } from '../event-note.ts'
import { follow, type Followed } from '../follow.ts'
import { widthOf } from '../format.ts'
import { createStatusLine } from '../status-line.ts'
import { failureText, resultText, threadSummary } from '../thread-text.ts'
import { waitingHint } from '../waiting-hint.ts'
import { inputTypes } from './items.ts'

export interface RunOptions {
  readonly input: readonly string[]
  readonly detach?: boolean
}

/** `kiwi run DIRECTIVE [MESSAGE]`: spawns a thread and follows it; the exit code is that of the thread. Ctrl-C detaches. */
export async function run(
  context: CliContext,
  directive: string,
  message: string | undefined,
  options: RunOptions,
): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) => {
    const inputs =
      options.input.length === 0
        ? {}
        : parseAssignments(options.input, await inputTypes(kiwi, context.projectPath, { type: 'directive', id: directive }))
    const spawned = await spawnThread(kiwi, context.projectPath, { directive, message, inputs })
    if (!('threadId' in spawned)) {
      context.output.failure(spawned)
      return exitCodeOfError(spawned.error.code)
    }
    const { threadId } = spawned
    if (options.detach === true) {
      context.output.data(spawned.receipt, () => threadId)
      return EXIT.ok
    }
    context.output.talk(`thread ${threadId}`)
    return reportFollowed(context, kiwi, await followOnScreen(context, kiwi, threadId))
  })
}

/** Spawns through the tool that models use, with the same checks. The receipt is the tool's own. */
export async function spawnThread(
  kiwi: Kiwi,
  projectPath: string,
  request: { readonly directive: string; readonly message: string | undefined; readonly inputs: JsonObject },
): Promise<{ readonly threadId: string; readonly receipt: unknown } | ErrorEnvelope> {
  const parameters = {
    directive_name: request.directive,
    inputs: request.inputs,
    ...(request.message === undefined ? {} : { initial_message: request.message }),
  }
  const result = await executeTool(kiwi, projectPath, { tool: 'thread_directive', parameters })
  if (!result.success) return result
  const receipt = receiptIn(result)
  if (receipt === null)
    throw new KiwiError('SPAWN_FAILED', 'thread_directive gave no thread id.', { facts: { directive_name: request.directive } })
  return { threadId: receipt.thread_id, receipt }
}

/** Follows with live tokens, notes on tools and warnings, and a status line: all of it talk on stderr. */
export async function followOnScreen(context: CliContext, kiwi: Kiwi, threadId: string): Promise<Followed> {
  const threads = kiwi.threads(context.projectPath)
  const width = widthOf(context.stderr, 120)
  const signal = context.interrupt()
  for (let next = threadId; ;) {
    const screen = createStatusLine(context.stderr, (text) => context.output.live(text), context.env)
    const onEvent = (event: ThreadEventRow): void => {
      const note = noteOf(event, width)
      if (note !== null) screen.line(note)
    }
    const contextLimit = contextLimitOf(kiwi.config, threads.get(next))
    const followed = await follow({ threads, threadId: next, screen, sinceSeq: 0, onEvent, contextLimit, signal })
    const { continued_by: successor } = followed.row
    if (followed.kind === 'interrupted' || successor === null) return followed
    context.output.talk(`${next} hands its work on: thread ${successor}`)
    next = successor
  }
}

/** Says how it ended, and gives the exit code. */
export function reportFollowed(context: CliContext, kiwi: Kiwi, followed: Followed): ExitCode {
  const { output } = context
  const { row } = followed
  const id = row.thread_id
  if (followed.kind === 'interrupted') {
    output.talk(`Detached; ${id} goes on. Follow it: kiwi tail -f ${id}   Stop it: kiwi cancel ${id}`)
    if (output.json) output.data(row, () => '')
    return EXIT.interrupted
  }
  const failure = failureText(row)
  if (failure !== null) output.talk(`${row.status}: ${failure}`)
  if (row.end_reason === 'stream_failed')
    output.talk(
      '  → kiwi doctor says which model, endpoint and key are used; kiwi model serves a scripted model, which needs no key.',
    )
  output.talk(threadSummary(row))
  const result = failure === null ? resultText(row.result) : ''
  if (output.json || (result !== '' && !isOnScreen(context, followed))) output.data(row, () => result)
  const code = exitCodeOfThread(row) ?? EXIT.failed
  if (code === EXIT.waiting) output.talk(waitingHint(kiwi.threads(context.projectPath), row))
  return code
}

/** The result is the answer that was streamed, and stdout is the same screen: printing it again would only repeat it. */
export function isOnScreen(context: CliContext, { row, lastText }: Followed): boolean {
  return process.stdout.isTTY && context.stderr.isTTY && resultText(row.result).trim() === lastText.trim()
}

/** The receipt of a spawning tool in the kernel's result. */
export function receiptIn({ result }: Readonly<Record<string, unknown>>): { readonly thread_id: string } | null {
  if (typeof result !== 'object' || result === null || !('thread_id' in result) || typeof result.thread_id !== 'string')
    return null
  return { ...result, thread_id: result.thread_id }
}
