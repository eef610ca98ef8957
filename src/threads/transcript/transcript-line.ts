import type { Json, JsonObject } from '../../json.ts'
import type { NewEvent, NewMessage } from '../engine.ts'

/**
 * A transcript line is derived from a committed event, so it can be written again byte for byte from the registry. A message's content
 * stands once in the registry: `line_json` then says `{"$content": true}` and the line takes it from the message.
 */
export interface PreparedEvent {
  readonly type: string
  readonly payloadJson: string
  /** What the line has besides the payload, as the registry keeps it; null when there is nothing. */
  readonly lineJson: string | null
  /** What the line has besides the payload, in full. */
  readonly extraJson: string | null
}

const CONTENT_MARK = '$content'

/** `message` is the message that the event refers to. */
export function prepareEvent(
  event: NewEvent,
  message: (NewMessage & { readonly seq: number; readonly contentJson: string }) | null,
): PreparedEvent {
  const payload = withoutReserved(message === null ? event.payload : { ...event.payload, message_seq: message.seq })
  const payloadJson = JSON.stringify(payload)
  if (event.transcript === undefined) return { type: event.type, payloadJson, lineJson: null, extraJson: null }
  const extra = withoutReserved(event.transcript)
  const content = extra['content']
  if (message === null || content === undefined || content !== contentOf(message.content)) {
    const text = JSON.stringify(extra)
    return { type: event.type, payloadJson, lineJson: text, extraJson: text }
  }
  const { content: _content, ...rest } = extra
  return {
    type: event.type,
    payloadJson,
    lineJson: JSON.stringify({ ...rest, [CONTENT_MARK]: true }),
    extraJson: JSON.stringify({ ...rest, content }),
  }
}

/** The same extra fields, from the registry. `content` reads the message that the payload refers to. */
export function restoreExtra(lineJson: string | null, content: () => Json): string | null {
  if (lineJson === null) return null
  // Only `prepareEvent` writes this column.
  const line = JSON.parse(lineJson) as JsonObject
  if (line[CONTENT_MARK] !== true) return lineJson
  const { [CONTENT_MARK]: _mark, ...rest } = line
  return JSON.stringify({ ...rest, content: contentOf(content()) ?? null })
}

export function transcriptLine(event: {
  readonly seq: number
  readonly ts: string
  readonly type: string
  readonly payloadJson: string
  readonly extraJson: string | null
}): string {
  const fields = inner(event.payloadJson) + (event.extraJson === null ? '' : inner(event.extraJson))
  return `{"seq":${event.seq},"ts":"${event.ts}","type":${JSON.stringify(event.type)}${fields}}\n`
}

/** The fields of a JSON object's text, each after a comma. */
function inner(objectJson: string): string {
  return objectJson === '{}' ? '' : `,${objectJson.slice(1, -1)}`
}

function contentOf(message: Json): Json | undefined {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return message
  // Neither null nor an array, so an object.
  return (message as JsonObject)['content']
}

/** `seq`, `ts` and `type` of a line are the engine's; a field of that name keeps its value under `<name>_`. */
function withoutReserved(fields: JsonObject): JsonObject {
  if (!('seq' in fields || 'ts' in fields || 'type' in fields)) return fields
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key === 'seq' || key === 'ts' || key === 'type' ? `${key}_` : key, value]),
  )
}
