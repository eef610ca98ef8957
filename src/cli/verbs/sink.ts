import { parseAssignments } from '../assignments.ts'
import type { CliContext } from '../context.ts'
import type { ExitCode } from '../exit-codes.ts'
import { given, steer } from './steer.ts'

export interface SinkOptions {
  readonly path?: string
  readonly url?: string
  readonly format?: 'jsonl' | 'raw'
  readonly onError: 'drop' | 'retry' | 'fail'
  readonly param: readonly string[]
  readonly reason?: string
}

/** `kiwi sink ID TYPE`: the thread's stream goes there too, from its next model call on. */
export async function sink(context: CliContext, threadId: string, type: string, options: SinkOptions): Promise<ExitCode> {
  const destination = {
    type,
    ...given('path', options.path),
    ...given('url', options.url),
    ...given('format', options.format),
    on_error: options.onError,
    ...parseAssignments(options.param),
  }
  return steer(context, {
    tool: 'add_sink',
    parameters: { thread_id: threadId, destination, ...given('reason', options.reason) },
    done: () => `The stream of ${threadId} goes to ${options.path ?? options.url ?? type} too, from its next model call on.`,
  })
}
