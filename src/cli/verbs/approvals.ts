import type { Json, JsonObject } from '../../json.ts'
import { KiwiError } from '../../kernel/errors.ts'
import type { MetaToolResult } from '../../kernel/contract.ts'
import type { ApprovalRow } from '../../threads/approvals/approval.ts'
import type { ThreadsClient } from '../../threads/threads-client.ts'
import { questionTable, questionText } from '../approval-text.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { executeTool, printResult } from '../execute-tool.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'

const MOST_LISTED = 200

/**
 * `kiwi approvals [ID]`: the open questions of the project, or of a thread and those below it, newest first; with the id of a question all of
 * it. JSON is a list of rows, or one row.
 */
export async function approvals(
  context: CliContext,
  id: string | undefined,
  options: { readonly all?: boolean },
): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) => {
    const threads = kiwi.threads(context.projectPath)
    const one = id === undefined ? null : questionOf(threads, id)
    if (one !== null) {
      context.output.data(one, () => questionText(one, Date.now()))
      return EXIT.ok
    }
    if (id !== undefined) threads.get(id)
    const rows = threads.approvals.list({
      ...(id === undefined ? {} : { root_thread_id: id }),
      ...(options.all === true ? {} : { status: 'pending' }),
      limit: MOST_LISTED,
    })
    context.output.data(rows, () => (rows.length === 0 ? 'Nothing waits for an answer.' : questionTable(rows, Date.now())))
    if (rows.some(({ status }) => status === 'pending'))
      context.output.talk('Look: kiwi approvals APPROVAL   Answer: kiwi approve APPROVAL, kiwi deny APPROVAL [--reason TEXT]')
    return EXIT.ok
  })
}

/** Both are told to the thread: there is one text in an answer. */
export interface DenyOptions {
  readonly message?: string
  readonly reason?: string
}

export interface ApproveOptions extends DenyOptions {
  readonly forThread?: boolean
  readonly addUsd?: number
  readonly addTurns?: number
  readonly addTokens?: number
  readonly addToolCalls?: number
  readonly addSeconds?: number
}

/** `kiwi approve APPROVAL`: 0 when it counts, 1 when it is too late or a change could not be made, 3 and 4 as everywhere. */
export async function approve(context: CliContext, approvalId: string, options: ApproveOptions): Promise<ExitCode> {
  const amounts = {
    add_usd: options.addUsd,
    add_turns: options.addTurns,
    add_tokens: options.addTokens,
    add_tool_calls: options.addToolCalls,
    add_seconds: options.addSeconds,
  }
  return answer(context, {
    approval_id: approvalId,
    decision: options.forThread === true ? 'approve_thread' : 'approve_once',
    reason: reasonOf(options),
    ...given(amounts),
  })
}

/** `kiwi deny APPROVAL`. */
export async function deny(context: CliContext, approvalId: string, options: DenyOptions): Promise<ExitCode> {
  return answer(context, { approval_id: approvalId, decision: 'deny', reason: reasonOf(options) })
}

function reasonOf({ message, reason }: DenyOptions): string {
  return [message, reason].filter((text) => text !== undefined).join(' ')
}

async function answer(context: CliContext, parameters: JsonObject): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) =>
    printResult(context, await executeTool(kiwi, context.projectPath, { tool: 'answer_approval', parameters }), answeredText),
  )
}

function answeredText(result: MetaToolResult): string {
  const row = result.success ? result['result'] : null
  if (!isRow(row)) return 'Answered.'
  const { thread_id: threadId, status, kind, title, answer: given_ } = row
  const { facts = {} } = given_ ?? {}
  const done = Object.entries(facts).map(
    ([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const what = done.length === 0 ? '' : ` (${done.join(', ')})`
  const isEnd = status === 'denied' && (kind === 'budget' || kind === 'loop')
  const next = isEnd ? `${threadId} ends. Read why: kiwi why` : `${threadId} goes on. Follow it: kiwi tail -f`
  return `${status}: ${title}${what}\n${next} ${threadId}`
}

/** The question of this id; null where there is none, because it is that of a thread. */
function questionOf(threads: ThreadsClient, id: string): ApprovalRow | null {
  try {
    return threads.approvals.get(id)
  } catch (error) {
    if (error instanceof KiwiError && error.code === 'APPROVAL_NOT_FOUND') return null
    throw error
  }
}

function given(fields: Readonly<Record<string, Json | undefined>>): JsonObject {
  return Object.fromEntries(Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}

/** What `answer_approval` gives is the row. */
function isRow(value: unknown): value is ApprovalRow {
  return typeof value === 'object' && value !== null && 'approval_id' in value && 'thread_id' in value && 'title' in value
}
