import type { DirectiveDefinition } from '../../../kernel/items/item.ts'
import type { JsonObject } from '../../../json.ts'
import type { Commit, Continues, TurnContext } from '../../../threads/engine.ts'
import type { ThreadRow, ThreadsClient } from '../../../threads/threads-client.ts'
import type { ToolCall } from '../../base/conversation.ts'
import type { HarnessServices } from '../services.ts'
import { answerCommit } from '../tools/call-events.ts'
import { continuingMessage, firstMessage, messageOf, stored } from './messages.ts'
import { joinedCommits } from './joined-commits.ts'

/**
 * What a thread adds to the conversation that it goes on with: a result for each call that has none, then the request, with the directive
 * where that is another than the conversation begins with. Null for a thread that begins a conversation. To be written in a recorded step.
 */
export function continuationOf(
  services: HarnessServices,
  ctx: TurnContext,
  given: { readonly directive: DirectiveDefinition; readonly inputs: JsonObject },
): Commit | null {
  const { continues, initialMessage } = ctx.start
  if (continues === null || continues.throughSeq === 0 || ctx.history().length === 0) return null
  const calls = openCalls(ctx)
  const started = startedCalls(services.threads, continues, new Set(calls.map(({ id }) => id)))
  const closed = calls.map((call) =>
    answerCommit(ctx, { id: call.id, tool: itemOf(call) }, closingText(continues, started.has(call.id)), true),
  )
  const directive = textOf(firstMessage(given.directive, given.inputs, ''))
  const message = continuingMessage({
    intro: introOf(services.threads.get(continues.threadId), continues),
    directive: isKnown(services, ctx, directive) ? null : directive,
    request: initialMessage,
  })
  const content = textOf(message)
  const said: Commit = {
    messages: [stored(message)],
    events: [{ type: 'user_message', payload: {}, message: 0, transcript: { content } }],
  }
  return joinedCommits([...closed, said])
}

/** Calls of the conversation without a result, in their order. */
export function openCalls(ctx: Pick<TurnContext, 'history'>): readonly ToolCall[] {
  const open = new Map<string, ToolCall>()
  for (const entry of ctx.history()) {
    const message = messageOf(entry)
    if (message.role === 'tool_result') open.delete(message.call_id)
    if (message.role !== 'assistant') continue
    for (const block of message.blocks) if (block.type === 'tool_call') open.set(block.call.id, block.call)
  }
  return [...open.values()]
}

/** Those of the calls that began in the thread that this one goes on from, or in one before it. */
function startedCalls(threads: ThreadsClient, continues: Continues, wanted: ReadonlySet<string>): ReadonlySet<string> {
  const started = new Set<string>()
  let next: Pick<Continues, 'threadId'> | null = wanted.size === 0 ? null : continues
  for (let count = 0; next !== null && count < MAX_CHAIN; count += 1) {
    const { threadId } = next
    for (const { payload } of threads.events(threadId, { type: 'tool_call', last: LOOKED_AT })) {
      const id = payload['call_id']
      if (typeof id === 'string' && wanted.has(id)) started.add(id)
    }
    next = threads.start(threadId).continues
  }
  return started
}

/** Open calls are those of the end of a conversation, so they are not far back. */
const LOOKED_AT = 1_000
const MAX_CHAIN = 100

/** What the model meant to call; the meta-tool itself where it named nothing. */
function itemOf({ name, arguments: given }: ToolCall): string {
  const id = given['item_id']
  return name === 'execute' && typeof id === 'string' && id !== '' ? id : name
}

function closingText({ threadId }: Continues, isStarted: boolean): string {
  if (!isStarted) return `This call was not run: thread ${threadId} stopped before it. Call it again if it is still needed.`
  return (
    `The outcome of this call is unknown: it had begun in thread ${threadId}, and its result is no part of this conversation. ` +
    'It may or may not have taken effect, and it was not repeated. Check what happened before you call it again.'
  )
}

function introOf(row: ThreadRow, { how }: Continues): string {
  const thread = `thread ${row.thread_id}`
  if (how === 'fork')
    return `This thread goes on from an earlier point of ${thread}. What was said until then stands above; what that thread did afterwards is not known here, and its effects are not undone.`
  const failure = failureOf(row)
  const outcome = row.end_reason === null || row.end_reason === 'done' ? row.status : `${row.status} (${row.end_reason})`
  return `This thread goes on from ${thread}, which ended: ${outcome}${failure === '' ? '' : `: ${failure}`}. What was said there stands above.`
}

function failureOf({ status, result }: ThreadRow): string {
  if (status === 'completed' || typeof result !== 'object' || result === null || Array.isArray(result)) return ''
  const { message } = result as JsonObject // Neither null nor an array, so an object.
  return typeof message === 'string' ? message.slice(0, MAX_FAILURE).replace(/[.\s]+$/u, '') : ''
}

const MAX_FAILURE = 1_000

/** Whether the newest directive that the conversation was given reads the same. What is stored holds no secret, so this is compared without. */
function isKnown(services: HarnessServices, ctx: TurnContext, directive: string): boolean {
  const text = services.redactor(ctx.threadId).text(directive)
  const given = ctx.history().findLast((entry) => {
    const message = messageOf(entry)
    return message.role === 'user' && message.content.includes('<directive name="') && message.content.includes('</directive>')
  })
  return given !== undefined && textOf(messageOf(given)).includes(text)
}

function textOf(message: ReturnType<typeof messageOf>): string {
  return 'content' in message ? message.content : ''
}
