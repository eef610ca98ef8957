import type { JsonObject } from '../../../json.ts'
import type { ThreadEventRow, ThreadsClient } from '../../../threads/threads-client.ts'
import { messageOf } from '../turn/messages.ts'

/** A tool call that brought an error. What the error named is there; the rest is null. */
export interface FailedCall {
  readonly seq: number
  readonly ts: string
  readonly tool: string
  readonly code: string | null
  readonly message: string
  /** The tool and what it chains to, the nearest first. */
  readonly links: readonly string[]
  /** The link that failed, not the first one. */
  readonly failing_link: string | null
  readonly cause: string | null
}

const MOST_FAILURES = 10
const SCANNED_RESULTS = 500

/** The last calls of a thread that failed, in order. */
export function failedCalls(threads: ThreadsClient, threadId: string): readonly FailedCall[] {
  return threads
    .events(threadId, { type: 'tool_result', last: SCANNED_RESULTS })
    .filter(({ payload }) => payload['success'] === false)
    .slice(-MOST_FAILURES)
    .map((event) => failedCall(threads, event))
}

function failedCall(threads: ThreadsClient, { thread_id, seq, ts, payload }: ThreadEventRow): FailedCall {
  const error = errorIn(contentOf(threads, thread_id, payload['message_seq']))
  const { code, message, chain, failed_at: failedAt, cause } = error
  return {
    seq,
    ts,
    tool: typeof payload['tool'] === 'string' ? payload['tool'] : '',
    code: typeof code === 'string' ? code : null,
    message: typeof message === 'string' ? message : textOf(payload['summary']),
    links: Array.isArray(chain) ? chain.map(String) : [],
    failing_link: isObject(failedAt) && typeof failedAt['tool_id'] === 'string' ? failedAt['tool_id'] : null,
    cause: isObject(cause) ? `${textOf(cause['code'])}: ${textOf(cause['message'])}` : null,
  }
}

function contentOf(threads: ThreadsClient, threadId: string, seq: unknown): string {
  if (typeof seq !== 'number') return ''
  const [stored] = threads.messages(threadId, { sinceSeq: seq - 1, limit: 1 })
  if (stored?.seq !== seq) return ''
  const message = messageOf(stored)
  return message.role === 'tool_result' ? message.content : ''
}

/** The `error` of an envelope; empty where the text is none, such as one that was cut. */
function errorIn(text: string): JsonObject {
  try {
    const parsed: unknown = JSON.parse(text)
    return isObject(parsed) && isObject(parsed['error']) ? parsed['error'] : {}
  } catch {
    // A result may be any text; then only its summary is known.
    return {}
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
