import type { JsonObject } from '../../json.ts'
import { KiwiError } from '../../kernel/errors.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { executeTool } from '../execute-tool.ts'
import { EXIT, exitCodeOfError, type ExitCode } from '../exit-codes.ts'
import { followOnScreen, receiptIn, reportFollowed } from './run.ts'
import { given } from './steer.ts'

export interface ContinueOptions {
  readonly at?: number
  readonly checkpoint?: string
  readonly detach?: boolean
  readonly reason?: string
}

/** `kiwi retry ID [MESSAGE]`: a new thread goes on with the whole conversation of one that has ended; followed like `run`. */
export async function retry(
  context: CliContext,
  threadId: string,
  message: string | undefined,
  options: ContinueOptions,
): Promise<ExitCode> {
  return goOn(context, { tool: 'retry_thread', parameters: parametersOf(threadId, message, options), options })
}

/** `kiwi fork ID [MESSAGE]`: a new thread goes on from an earlier point of another; followed like `run`. */
export async function fork(
  context: CliContext,
  threadId: string,
  message: string | undefined,
  options: ContinueOptions,
): Promise<ExitCode> {
  if ((options.at === undefined) === (options.checkpoint === undefined))
    throw new KiwiError('INVALID_REQUEST', 'A fork starts at one point: --at SEQ or --checkpoint NAME.', {
      suggestion: `See the events and their seq: kiwi tail ${threadId} -n 1000; its checkpoints: kiwi tail ${threadId} -t checkpoint`,
    })
  const point = { ...given('at_seq', options.at), ...given('checkpoint', options.checkpoint) }
  return goOn(context, { tool: 'fork_thread', parameters: { ...parametersOf(threadId, message, options), ...point }, options })
}

function parametersOf(threadId: string, message: string | undefined, { reason }: ContinueOptions): JsonObject {
  return { thread_id: threadId, ...given('message', message), ...given('reason', reason) }
}

async function goOn(
  context: CliContext,
  call: { readonly tool: string; readonly parameters: JsonObject; readonly options: ContinueOptions },
): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) => {
    const result = await executeTool(kiwi, context.projectPath, call)
    const receipt = result.success ? receiptIn(result) : null
    if (!result.success || receipt === null) {
      if (!result.success) context.output.failure(result)
      return result.success ? EXIT.failed : exitCodeOfError(result.error.code)
    }
    const { thread_id: threadId } = receipt
    if (call.options.detach === true) {
      context.output.data(receipt, () => threadId)
      return EXIT.ok
    }
    context.output.talk(`thread ${threadId}`)
    return reportFollowed(context, kiwi, await followOnScreen(context, kiwi, threadId))
  })
}
