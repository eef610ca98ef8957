import { closeSync } from 'node:fs'
import type { Json } from '../../json.ts'
import { integer, json, jsonObject, text, textOrNull } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import { appendWhole, cutTornTail, ensureThreadsFolder, openInThreadFolder, readTail } from './transcript-file.ts'
import type { OpenFile } from './transcript-file.ts'
import { restoreExtra, transcriptLine } from './transcript-line.ts'

/**
 * Writes `transcript.jsonl` of many threads. The registry is the truth and the transcript is derived, so a line that could not be
 * written is not an error of the thread: it is written from the registry with the next one.
 */
export interface Transcripts {
  /** Takes one committed line; it is on disk after the next `flush`. */
  append(threadId: string, seq: number, line: string): void
  /** Writes what was appended in this tick, one write a thread. */
  flush(): void
  /** Cuts a torn tail into `transcript.jsonl.torn` and writes the lines that the registry has and the file lacks. */
  repair(threadId: string): void
  /** Closes the file of a thread that has ended. */
  forget(threadId: string): void
  close(): void
}

export interface TranscriptsOptions {
  /** The folder that holds one folder per thread. */
  readonly folder: string
  readonly store: Store
  /** Told once per thread and problem. */
  readonly onProblem: (threadId: string, error: unknown) => void
  /** Files held open; the least recently written is closed first. Default 1,024: a file for each of a thousand running threads. */
  readonly maxOpen?: number
}

interface Entry {
  lastSeq: number
  pendingFirstSeq: number
  pending: string
  pendingLastSeq: number
  /** Null while closed. In the order of last use. */
  file: OpenFile | null
  /** When the file was last closed; a file that still has it was not touched by others. */
  closedSize: number
  complained: boolean
}

const NAME = 'transcript.jsonl'
const FILL_PAGE = 500

export function createTranscripts(options: TranscriptsOptions): Transcripts {
  return new TranscriptFiles(options)
}

class TranscriptFiles implements Transcripts {
  readonly #options: TranscriptsOptions
  readonly #folder: string
  readonly #maxOpen: number
  readonly #entries = new Map<string, Entry>()
  readonly #open = new Map<string, Entry>()
  readonly #dirty = new Set<string>()

  constructor(options: TranscriptsOptions) {
    this.#options = options
    this.#maxOpen = options.maxOpen ?? 1_024
    this.#folder = ensureThreadsFolder(options.folder)
  }

  append(threadId: string, seq: number, line: string): void {
    const entry = this.#entryOf(threadId)
    if (entry.pending === '') entry.pendingFirstSeq = seq
    // A line of another process stands between: no first seq fits, and the registry is asked for all of them.
    else if (seq !== entry.pendingLastSeq + 1) entry.pendingFirstSeq = -1
    entry.pending += line
    entry.pendingLastSeq = seq
    this.#dirty.add(threadId)
  }

  flush(): void {
    if (this.#dirty.size === 0) return
    for (const threadId of this.#dirty) this.#guarded(threadId, (entry) => this.#flushOne(threadId, entry))
    this.#dirty.clear()
    this.#closeSurplus()
  }

  repair(threadId: string): void {
    // What is on disk now counts, not what this process believes.
    const known = this.#entryOf(threadId)
    this.#release(threadId, known)
    known.closedSize = -1
    this.#guarded(threadId, (entry) => {
      this.#openFile(threadId, entry)
      this.#fill(threadId, entry)
    })
    this.#dirty.delete(threadId)
    this.#closeSurplus()
  }

  forget(threadId: string): void {
    this.flush()
    const entry = this.#entries.get(threadId)
    if (entry === undefined) return
    this.#release(threadId, entry)
    this.#entries.delete(threadId)
  }

  close(): void {
    this.flush()
    for (const [threadId, entry] of this.#open) this.#release(threadId, entry)
    this.#entries.clear()
  }

  #entryOf(threadId: string): Entry {
    let entry = this.#entries.get(threadId)
    if (entry === undefined) {
      entry = { lastSeq: 0, pending: '', pendingFirstSeq: 0, pendingLastSeq: 0, file: null, closedSize: -1, complained: false }
      this.#entries.set(threadId, entry)
    }
    return entry
  }

  #guarded(threadId: string, action: (entry: Entry) => void): void {
    const entry = this.#entryOf(threadId)
    try {
      action(entry)
      entry.complained = false
    } catch (error) {
      this.#release(threadId, entry)
      entry.closedSize = -1
      if (!entry.complained) this.#options.onProblem(threadId, error)
      entry.complained = true
    } finally {
      entry.pending = ''
    }
  }

  #flushOne(threadId: string, entry: Entry): void {
    this.#openFile(threadId, entry)
    if (entry.pending === '') return
    if (entry.pendingFirstSeq === entry.lastSeq + 1) this.#write(entry, entry.pending, entry.pendingLastSeq)
    // A gap, or an earlier write failed: the registry has them all.
    else if (entry.pendingLastSeq > entry.lastSeq) this.#fill(threadId, entry)
  }

  #openFile(threadId: string, entry: Entry): void {
    this.#open.delete(threadId)
    if (entry.file === null) {
      const file = openInThreadFolder(this.#folder, threadId, NAME)
      entry.file = file
      this.#open.set(threadId, entry)
      if (file.size === entry.closedSize) return
      const tail = readTail(file)
      const side = (): OpenFile => openInThreadFolder(this.#folder, threadId, `${NAME}.torn`)
      if (tail.goodSize < file.size) entry.file = cutTornTail(file, tail.goodSize, side)
      entry.lastSeq = tail.lastSeq
    }
    this.#open.set(threadId, entry)
  }

  #write(entry: Entry, lines: string, lastSeq: number): void {
    if (entry.file === null) return
    entry.file = appendWhole(entry.file, lines)
    entry.lastSeq = lastSeq
  }

  #fill(threadId: string, entry: Entry): void {
    for (;;) {
      const rows = linesAfter(this.#options.store, threadId, entry.lastSeq)
      const last = rows.at(-1)
      if (last === undefined) return
      this.#write(entry, rows.map((row) => row.line).join(''), last.seq)
      if (rows.length < FILL_PAGE) return
    }
  }

  #release(threadId: string, entry: Entry): void {
    if (entry.file !== null) {
      closeSync(entry.file.fd)
      entry.closedSize = entry.file.size
    }
    entry.file = null
    this.#open.delete(threadId)
  }

  #closeSurplus(): void {
    for (const [threadId, entry] of this.#open) {
      if (this.#open.size <= this.#maxOpen) return
      this.#release(threadId, entry)
    }
  }
}

function linesAfter(store: Store, threadId: string, seq: number): readonly { readonly seq: number; readonly line: string }[] {
  const rows = store
    .statement(
      'SELECT seq, ts, event_type, payload_json, line_json FROM thread_events WHERE thread_id = ? AND seq > ? ORDER BY seq LIMIT ?',
    )
    .all(threadId, seq, FILL_PAGE)
  return rows.map((row) => {
    const lineSeq = integer(row, 'seq')
    const extraJson = restoreExtra(textOrNull(row, 'line_json'), () =>
      messageContent(store, threadId, jsonObject(row, 'payload_json')['message_seq'] ?? null),
    )
    const event = {
      seq: lineSeq,
      ts: text(row, 'ts'),
      type: text(row, 'event_type'),
      payloadJson: text(row, 'payload_json'),
      extraJson,
    }
    return { seq: lineSeq, line: transcriptLine(event) }
  })
}

function messageContent(store: Store, threadId: string, messageSeq: Json): Json {
  if (typeof messageSeq !== 'number') return null
  const row = store.statement('SELECT content_json FROM messages WHERE thread_id = ? AND seq = ?').get(threadId, messageSeq)
  return row === undefined ? null : json(row, 'content_json')
}
