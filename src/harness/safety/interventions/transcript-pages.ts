import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { StoredMessage } from '../../../threads/engine.ts'
import type { ThreadEventRow, ThreadsClient } from '../../../threads/threads-client.ts'
import { messageOf } from '../turn/messages.ts'
import type { ToolResultMessage } from '../turn/messages.ts'
import { textOf } from '../model/model-charge.ts'
import type { HarnessServices } from '../services.ts'
import { accessibleThread } from './thread-access.ts'

/** Characters of a message shown beside its event; of a page of one tool output. */
const SHOWN_CHARACTERS = 2_000
const PAGE_CHARACTERS = 8_000
const SCANNED_AT_ONCE = 1_000

/** The last events of a thread with the text of their messages. A thread may read its own and its descendants'. */
export function readEvents(
  services: HarnessServices,
  context: ExecutionContext,
  read: { readonly threadId: string; readonly lastN: number },
): JsonObject {
  const row = accessibleThread(services.threads, context, read.threadId, { orSelf: true })
  const events = services.threads.events(read.threadId, { last: read.lastN })
  return {
    thread_id: read.threadId,
    status: row.status,
    turn: row.turn,
    events: events.map((event) => shownEvent(services.threads, event)),
  }
}

/** One page of the whole output of one tool call, which its model saw cut. */
export function readToolOutput(
  services: HarnessServices,
  context: ExecutionContext,
  read: { readonly threadId: string; readonly callId: string; readonly offset: number },
): JsonObject {
  accessibleThread(services.threads, context, read.threadId, { orSelf: true })
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
  for (let sinceSeq = 0; ;) {
    const page = threads.messages(threadId, { sinceSeq, limit: SCANNED_AT_ONCE })
    for (const stored of page) {
      const message = messageOf(stored)
      if (message.role === 'tool_result' && message.call_id === callId) return message
    }
    const last = page.at(-1)
    if (last === undefined || page.length < SCANNED_AT_ONCE) return null
    sinceSeq = last.seq
  }
}
