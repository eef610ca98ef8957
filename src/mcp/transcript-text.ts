import type { JsonObject } from '../json.ts'
import type { ThreadEventRow } from '../threads/threads-client.ts'
import { boundedText } from './bounded-result.ts'
import type { McpProject } from './contract.ts'
import { transcriptUri } from './thread-uri.ts'

export interface TranscriptPart {
  readonly threadId: string
  /** The events after this one, oldest first; null: the newest ones. */
  readonly since: number | null
  readonly maxBytes: number
}

const MAX_EVENTS = 500
const MAX_LINE_BYTES = 8_000
/** Kept free for the line that says how to read on. */
const NOTE_BYTES = 512

/** A part of a transcript, one JSON object a line, as `read_transcript` shows events. A line of type `note` says what is left out. */
export async function transcriptText(project: McpProject, part: TranscriptPart): Promise<string> {
  const { threadId, since } = part
  const { shownEvent } = await import('../harness/safety/interventions/transcript-pages.ts')
  const { threads } = project
  const events = threads.events(threadId, since === null ? { last: MAX_EVENTS } : { sinceSeq: since, limit: MAX_EVENTS })
  const lines: string[] = []
  let left = part.maxBytes - NOTE_BYTES
  let shown: ThreadEventRow | null = null
  for (const event of since === null ? events.toReversed() : events) {
    const line = boundedText(project.redact(shownEvent(threads, event)), MAX_LINE_BYTES)
    left -= Buffer.byteLength(line) + 1
    if (left < 0) break
    lines.push(line)
    shown = event
  }
  if (since === null) return textOf([...earlierNote(threadId, shown), ...lines.toReversed()])
  const isWhole = lines.length === events.length && events.length < MAX_EVENTS
  return textOf([
    ...lines,
    ...(isWhole || shown === null ? [] : [note(threadId, `There is more after seq ${shown.seq}.`, shown.seq)]),
  ])
}

/** `first` is the oldest event that is shown. */
function earlierNote(threadId: string, first: ThreadEventRow | null): readonly string[] {
  if (first === null || first.seq <= 1) return []
  return [note(threadId, `The ${first.seq - 1} events before seq ${first.seq} are left out. From the beginning:`, 0)]
}

function note(threadId: string, text: string, since: number): string {
  const line: JsonObject = { type: 'note', text, read: transcriptUri(threadId, since) }
  return JSON.stringify(line)
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}
