import type { JsonObject } from '../../json.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { executeTool, printResult } from '../execute-tool.ts'
import type { ExitCode } from '../exit-codes.ts'

/** `kiwi pause ID`: at the thread's next turn boundary. */
export async function pause(context: CliContext, threadId: string, options: { readonly reason?: string }): Promise<ExitCode> {
  return steer(context, {
    tool: 'pause_thread',
    parameters: { thread_id: threadId, ...given('reason', options.reason) },
    done: `${threadId} pauses at its next turn.`,
  })
}

export interface ResumeOptions {
  readonly message?: string
  readonly addUsd?: number
  readonly addTurns?: number
}

/** `kiwi resume ID`: leaves `paused` and `waiting`, with a word to the model and raised limits where they are given. */
export async function resume(context: CliContext, threadId: string, options: ResumeOptions): Promise<ExitCode> {
  const parameters = {
    thread_id: threadId,
    ...given('inject_message', options.message),
    ...given('add_usd', options.addUsd),
    ...given('add_turns', options.addTurns),
  }
  return steer(context, { tool: 'resume_thread', parameters, done: `${threadId} goes on. Follow it: kiwi tail -f ${threadId}` })
}

/** `kiwi cancel ID`: gracefully, after the running step; `--now` interrupts that too. Children are cancelled with it. */
export async function cancel(context: CliContext, threadId: string, options: { readonly now?: boolean }): Promise<ExitCode> {
  const mode = options.now === true ? 'now' : 'graceful'
  return steer(context, {
    tool: 'cancel_thread',
    parameters: { thread_id: threadId, mode },
    done: `${threadId} is being cancelled.`,
  })
}

/** `kiwi inject ID TEXT`: said to the model at the next turn. */
export async function inject(
  context: CliContext,
  threadId: string,
  text: string,
  options: { readonly role: 'user' | 'system' },
): Promise<ExitCode> {
  return steer(context, {
    tool: 'inject_message',
    parameters: { thread_id: threadId, role: options.role, content: text },
    done: `${threadId} gets the message at its next turn.`,
  })
}

function given(name: string, value: string | number | undefined): JsonObject {
  return value === undefined ? {} : { [name]: value }
}

async function steer(
  context: CliContext,
  call: { readonly tool: string; readonly parameters: JsonObject; readonly done: string },
): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) =>
    printResult(context, await executeTool(kiwi, context.projectPath, call), () => call.done),
  )
}
