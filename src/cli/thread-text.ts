import type { Json, JsonObject } from '../json.ts'
import type { ThreadEventRow, ThreadRow, ThreadsClient } from '../threads/threads-client.ts'
import { age, clip, count, dollars, fields, numberIn, table } from './format.ts'

/** All tokens that were billed: the sum of the disjoint classes. */
export function tokensOf(usage: JsonObject): number {
  return ['input_uncached', 'cache_read', 'cache_write_5m', 'cache_write_1h', 'output', 'reasoning'].reduce(
    (sum, name) => sum + numberIn(usage, name),
    0,
  )
}

/** `waiting (escalated)`, `error (max_turns)`, `completed`. */
export function statusOf(row: Pick<ThreadRow, 'status' | 'end_reason' | 'wait_reason'>): string {
  const reason = row.status === 'waiting' ? row.wait_reason : row.end_reason
  return reason === null || reason === 'done' || reason === row.status ? row.status : `${row.status} (${reason})`
}

/** The table of `kiwi ps`. */
export function threadTable(rows: readonly ThreadRow[], nowMs: number): string {
  return table(
    ['THREAD', 'STATUS', 'TURN', 'TOKENS', 'COST', 'AGE', 'DIRECTIVE'],
    rows.map((row) => [
      row.thread_id,
      statusOf(row),
      String(row.turn),
      count(tokensOf(row.total_usage)),
      dollars(numberIn(row.total_usage, 'cost_nano')),
      age(row.created_at, nowMs),
      row.directive_id,
    ]),
  )
}

/** The block that ends `run`, `wait` and `demo`. */
export function threadSummary(row: ThreadRow): string {
  return fields([
    ['thread', row.thread_id],
    ['status', statusOf(row)],
    ['turns', String(row.turn)],
    ['tokens', String(tokensOf(row.total_usage))],
    ['cost', dollars(numberIn(row.total_usage, 'cost_nano'))],
    ['transcript', row.transcript_path],
  ])
}

const SEQ_WIDTH = 4

/**
 * One event as one line: seq, at which another thread can be forked, time, type, and its payload in short. `said` is the text of the message that the event is about; it takes the
 * place of the message's number.
 */
export function eventLine(
  event: Pick<ThreadEventRow, 'seq' | 'ts' | 'event_type' | 'payload'>,
  width: number,
  said: string | null = null,
): string {
  const { message_seq: _seq, ...rest } = event.payload
  const payload = said === null ? event.payload : { ...rest, content: said }
  const facts = Object.entries(payload)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const head = `${String(event.seq).padStart(SEQ_WIDTH)}  ${event.ts.slice(11, 19)}  ${clip(event.event_type, 24).padEnd(17)}  `
  return `${head}${clip(facts.join(' '), Math.max(20, width - head.length))}`.trimEnd()
}

/** What was said in the message that an event is about; null for none. A tool's result is summarised in its event already. */
export function saidIn(threads: Pick<ThreadsClient, 'messages'>, event: ThreadEventRow): string | null {
  const seq = event.payload['message_seq']
  if (typeof seq !== 'number' || event.event_type === 'tool_result') return null
  const [message] = threads.messages(event.thread_id, { sinceSeq: seq - 1, limit: 1 })
  return message?.seq === seq ? textOfMessage(message.content) : null
}

/** A harness's own message may be anything; what is not known to be text is left out. */
function textOfMessage(message: Json): string | null {
  if (!isObject(message)) return null
  if (typeof message['content'] === 'string') return message['content']
  const blocks = message['blocks']
  if (!Array.isArray(blocks)) return null
  const texts = blocks.map((block: Json) => (isObject(block) && block['type'] === 'text' ? block['text'] : null))
  return texts.filter((text) => typeof text === 'string').join('') || null
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A thread's result as text: its `text` (or itself, when it is one) as it is, anything else as JSON; empty for none. */
export function resultText(result: ThreadRow['result']): string {
  if (result === null) return ''
  if (typeof result === 'object' && 'text' in result && typeof result['text'] === 'string') return result['text']
  return typeof result === 'string' ? result : JSON.stringify(result, null, 2)
}

/** Why a thread failed or was cancelled, where its result says so; null where it does not, and for any other thread. */
export function failureText({ status, result }: Pick<ThreadRow, 'status' | 'result'>): string | null {
  if (status !== 'error' && status !== 'cancelled') return null
  if (typeof result !== 'object' || result === null || !('message' in result)) return null
  return typeof result['message'] === 'string' ? result['message'] : null
}

/** What a denied call lacked, as one text. */
export function missingOf(payload: JsonObject): string {
  const missing = payload['missing']
  const message = payload['message']
  if (Array.isArray(missing) && missing.length > 0) return missing.map(String).join(', ')
  return typeof message === 'string' ? message : ''
}
