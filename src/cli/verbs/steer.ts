import type { JsonObject } from '../../json.ts'
import type { MetaToolResult } from '../../kernel/contract.ts'
import { KiwiError } from '../../kernel/errors.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { executeTool, printResult } from '../execute-tool.ts'
import type { ExitCode } from '../exit-codes.ts'

interface WithReason {
  readonly reason?: string
}

/** `kiwi pause ID`: at the thread's next turn boundary. */
export async function pause(
  context: CliContext,
  threadId: string,
  options: WithReason & { readonly message?: string },
): Promise<ExitCode> {
  return steer(context, {
    tool: 'pause_thread',
    parameters: { thread_id: threadId, ...given('message', options.message), ...given('reason', options.reason) },
    done: () => `${threadId} pauses at its next turn.`,
  })
}

/** What is added to the limits of a thread. */
export interface Amounts {
  readonly addUsd?: number
  readonly addTurns?: number
  readonly addTokens?: number
  readonly addToolCalls?: number
  readonly addSeconds?: number
}

export interface ResumeOptions extends Amounts, WithReason {
  readonly message?: string
}

/** `kiwi resume ID`: leaves `paused` and `waiting`, with a word to the model and raised limits where they are given. */
export async function resume(context: CliContext, threadId: string, options: ResumeOptions): Promise<ExitCode> {
  const parameters = {
    thread_id: threadId,
    ...given('message', options.message),
    ...given('reason', options.reason),
    ...amountsOf(options),
  }
  const done = (): string => `${threadId} goes on. Follow it: kiwi tail -f ${threadId}`
  return steer(context, { tool: 'resume_thread', parameters, done })
}

/** `kiwi raise ID`: adds to its limits; a thread that waits for just that goes on. */
export async function raise(context: CliContext, threadId: string, options: Amounts & WithReason): Promise<ExitCode> {
  const amounts = amountsOf(options)
  if (Object.keys(amounts).length === 0)
    throw new KiwiError('INVALID_REQUEST', `There is nothing to add to the limits of ${threadId}.`, {
      suggestion: 'Give one or more of --add-usd, --add-turns, --add-tokens, --add-tool-calls, --add-seconds.',
    })
  const parameters = { thread_id: threadId, ...given('reason', options.reason), ...amounts }
  return steer(context, { tool: 'raise_budget', parameters, done: () => `The limits of ${threadId} are raised.` })
}

/** `kiwi cancel ID`: gracefully, after the running step; `--now` interrupts that too. Children are cancelled with it. */
export async function cancel(
  context: CliContext,
  threadId: string,
  options: WithReason & { readonly now?: boolean },
): Promise<ExitCode> {
  const mode = options.now === true ? 'now' : 'graceful'
  return steer(context, {
    tool: 'cancel_thread',
    parameters: { thread_id: threadId, mode, ...given('reason', options.reason) },
    done: (result) => cancelText(threadId, result['result']),
  })
}

/** `kiwi inject ID TEXT`: said to the model at the next turn. */
export async function inject(
  context: CliContext,
  threadId: string,
  text: string,
  options: WithReason & { readonly role: 'user' | 'system' },
): Promise<ExitCode> {
  return steer(context, {
    tool: 'inject_message',
    parameters: { thread_id: threadId, role: options.role, content: text, ...given('reason', options.reason) },
    done: () => `${threadId} gets the message at its next turn.`,
  })
}

function cancelText(threadId: string, result: unknown): string {
  const { reached = 1, detached = [] } = isReach(result) ? result : {}
  const below = reached > 1 ? `, and ${reached - 1} below it` : ''
  const lines = [`${threadId} is being cancelled${below}.`]
  if (detached.length > 0) lines.push(`Detached, so they go on: ${detached.join(', ')}`)
  return lines.join('\n')
}

function isReach(result: unknown): result is { readonly reached?: number; readonly detached?: readonly string[] } {
  return typeof result === 'object' && result !== null
}

function amountsOf({ addUsd, addTurns, addTokens, addToolCalls, addSeconds }: Amounts): JsonObject {
  return {
    ...given('add_usd', addUsd),
    ...given('add_turns', addTurns),
    ...given('add_tokens', addTokens),
    ...given('add_tool_calls', addToolCalls),
    ...given('add_seconds', addSeconds),
  }
}

/** A parameter that may be absent. */
export function given(name: string, value: string | number | undefined): JsonObject {
  return value === undefined ? {} : { [name]: value }
}

/** Executes a tool that does something to a thread, and says what it did. */
export async function steer(
  context: CliContext,
  call: { readonly tool: string; readonly parameters: JsonObject; readonly done: (result: MetaToolResult) => string },
): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) =>
    printResult(context, await executeTool(kiwi, context.projectPath, call), (result) => call.done(result)),
  )
}
