import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { StoredMessage } from '../../../threads/engine.ts'
import type { ThreadEventRow, ThreadsClient } from '../../../threads/threads-client.ts'
import { messageOf } from '../turn/messages.ts'
import type { ToolResultMessage } from '../turn/messages.ts'
import { textOf } from '../model/model-charge.ts'
import type { HarnessServices } from '../services.ts'
import { assertAllowed } from './allowed-actions.ts'
import type { Caller } from './caller.ts'
import { isDescendant } from './thread-access.ts'

/** Characters of a message shown beside its event; of a page of one tool output. */
const SHOWN_CHARACTERS = 2_000
const PAGE_CHARACTERS = 8_000
const SCANNED_AT_ONCE = 1_000
const DEFAULT_PAGE = 100

/** Which events of a thread. */
export interface EventRead {
  readonly threadId: string
  /** Without `sinceSeq`: how many of the last. */
  readonly lastN: number
  /** The events after this one, oldest first. */
  readonly sinceSeq?: number
  /** Only these; absent: all. */
  readonly types?: readonly string[]
  /** With `sinceSeq`: most events of one page. */
  readonly limit?: number
  /** Tool calls with all that they were given. */
  readonly withArguments?: boolean
}

/**
 * Events of a thread with the text of their messages. `next_since_seq` goes on behind them, now or when there are more. A thread reads
 * its own and its descendants', and with `registry.read` everybody's; what calls were given only of its descendants.
 */
export async function readEvents(services: HarnessServices, context: ExecutionContext, read: EventRead): Promise<JsonObject> {
  const { threads } = services
  const { row, caller } = await assertAllowed(services, context, { threadId: read.threadId, action: 'read' })
  if (read.withArguments === true) assertMayReadArguments(threads, row, caller)
  // Everything up to here is committed, so that what comes while this is read is left to the next page whole.
  const newest = threads.events(read.threadId, { last: 1 }).at(-1)?.seq ?? 0
  const found = eventsOf(threads, read, newest)
  const given = read.withArguments === true ? argumentsOf(threads, read.threadId, found.events) : new Map<string, JsonObject>()
  return {
    thread_id: read.threadId,
    status: row.status,
    turn: row.turn,
    events: found.events.map((event) => {
      const parameters = given.get(callIdOf(event) ?? '')
      return { ...shownEvent(threads, event), ...(parameters === undefined ? {} : { arguments: parameters }) }
    }),
    next_since_seq: found.isCut ? (found.events.at(-1)?.seq ?? newest) : newest,
    more: found.isCut,
  }
}

function eventsOf(
  threads: ThreadsClient,
  { threadId, lastN, sinceSeq, types, limit = DEFAULT_PAGE }: EventRead,
  newest: number,
): { readonly events: readonly ThreadEventRow[]; readonly isCut: boolean } {
  const range = sinceSeq === undefined ? { last: lastN } : { sinceSeq, limit: limit + 1 }
  const pages =
    types === undefined
      ? [threads.events(threadId, range)]
      : [...new Set(types)].map((type) => threads.events(threadId, { ...range, type }))
  const events = pages
    .flat()
    .filter(({ seq }) => seq <= newest)
    .toSorted((left, right) => left.seq - right.seq)
  if (sinceSeq === undefined) return { events: events.slice(-lastN), isCut: false }
  return { events: events.slice(0, limit), isCut: events.length > limit }
}

/** What a call was given may be more than its caller's own conversation shows of it, so a thread does not read its own this way. */
function assertMayReadArguments(threads: ThreadsClient, row: Parameters<typeof isDescendant>[1], caller: Caller): void {
  if (caller.kind === 'operator' || isDescendant(threads, row, caller.threadId)) return
  throw new KiwiError(
    'PERMISSION_DENIED',
    `Thread ${caller.threadId} may not read what the calls of thread ${row.thread_id} were given.`,
    {
      facts: { thread_id: row.thread_id, caller_thread_id: caller.threadId, missing: ['a thread that this thread spawned'] },
      suggestion: 'Read it without arguments.',
    },
  )
}

/** The parameters of the calls that these events are about, by the id of the call. */
function argumentsOf(
  threads: ThreadsClient,
  threadId: string,
  events: readonly ThreadEventRow[],
): ReadonlyMap<string, JsonObject> {
  const wanted = new Set(events.flatMap((event) => callIdOf(event) ?? []))
  const found = new Map<string, JsonObject>()
  if (wanted.size === 0) return found
  scanMessages(threads, threadId, (stored) => {
    const message = messageOf(stored)
    if (message.role !== 'assistant') return false
    for (const block of message.blocks)
      if (block.type === 'tool_call' && wanted.has(block.call.id)) found.set(block.call.id, block.call.arguments)
    return found.size === wanted.size
  })
  return found
}

function callIdOf({ event_type: type, payload }: ThreadEventRow): string | null {
  const id = payload['call_id']
  return type === 'tool_call' && typeof id === 'string' ? id : null
}

/** One page of the whole output of one tool call, which its model saw cut. */
export async function readToolOutput(
  services: HarnessServices,
  context: ExecutionContext,
  read: { readonly threadId: string; readonly callId: string; readonly offset: number },
): Promise<JsonObject> {
  await assertAllowed(services, context, { threadId: read.threadId, action: 'read' })
  const result = findResult(services.threads, read.threadId, read.callId)
  if (result === null) {
    throw new KiwiError('INVALID_REQUEST', `Thread ${read.threadId} has no result of a call ${read.callId.slice(0, 128)}.`, {
      suggestion: 'Take the call_id from a tool_result event of the transcript.',
    })
  }
  const text = result.full ?? result.content
  const end = Math.min(text.length, read.offset + PAGE_CHARACTERS)
  return {
    thread_id: read.threadId,
    call_id: read.callId,
    tool: result.tool,
    is_error: result.is_error,
    total_characters: text.length,
    offset: read.offset,
    next_offset: end < text.length ? end : null,
    text: text.slice(read.offset, end),
  }
}

/** An event as a reader sees it: with the text of its message, shortened. */
export function shownEvent(threads: ThreadsClient, event: ThreadEventRow): JsonObject {
  const base = { seq: event.seq, ts: event.ts, type: event.event_type, ...event.payload }
  const seq = event.payload['message_seq']
  // A tool result is summarised in its event; its text is read by call_id.
  if (typeof seq !== 'number' || event.event_type === 'tool_result') return base
  const [message] = threads.messages(event.thread_id, { sinceSeq: seq - 1, limit: 1 })
  if (message?.seq !== seq) return base
  const text = messageText(message)
  return {
    ...base,
    content: text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}… (${text.length} characters)`,
  }
}

function messageText(stored: StoredMessage): string {
  const message = messageOf(stored)
  return message.role === 'assistant' ? textOf(message) : message.content
}

function findResult(threads: ThreadsClient, threadId: string, callId: string): ToolResultMessage | null {
  let found: ToolResultMessage | null = null
  scanMessages(threads, threadId, (stored) => {
    const message = messageOf(stored)
    if (message.role === 'tool_result' && message.call_id === callId) found = message
    return found !== null
  })
  return found
}

/** Oldest first, until `visit` says that it has enough. */
function scanMessages(threads: ThreadsClient, threadId: string, visit: (stored: StoredMessage) => boolean): void {
  for (let sinceSeq = 0; ;) {
    const page = threads.messages(threadId, { sinceSeq, limit: SCANNED_AT_ONCE })
    if (page.some(visit)) return
    const last = page.at(-1)
    if (last === undefined || page.length < SCANNED_AT_ONCE) return
    sinceSeq = last.seq
  }
}
