import type { StreamEvent } from './contract.ts'

/**
 * Server-sent events from bytes, per the WHATWG "event stream interpretation".
 *
 * Owns: line ends (LF, CR, CRLF, also cut between chunks), UTF-8 cut anywhere, the byte order mark, fields, the cap on one event.
 * Does not own: what an event means, pacing, sinks.
 *
 * S1. Only whole lines are decoded, one decode per chunk; the unfinished line waits as bytes and is never longer than the cap.
 * S2. The events delivered depend on the bytes alone, never on how they were cut into chunks.
 * S3. An event is dispatched at its empty line; one that is unfinished at the end of the stream is dropped.
 * S4. `[DONE]` is the end marker of the OpenAI wire: it is noted and not delivered.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export interface SseParser {
  /** Takes the next bytes of the stream; nothing is delivered before `drain`. */
  push(chunk: Buffer): void
  /**
   * Delivers at most `maxEvents` events of what was pushed. `more`: call again; `too_big`: one event is over the cap and the parser is spent.
   */
  drain(maxEvents: number): 'done' | 'more' | 'too_big'
  /** The bytes are over: whether an event with data was left unfinished (and dropped), and whether `[DONE]` was seen. */
  finish(): SseEnd
}

export interface SseEnd {
  readonly unfinishedEvent: boolean
  readonly endMarkerSeen: boolean
}

export interface SseParserOptions {
  /** Most bytes in the lines of one event, line ends not counted. */
  readonly maxEventBytes: number
  /** `maybeError` is a cheap hint from the whole chunk: false means that the data has no key or value `"error"`. */
  readonly onEvent: (event: StreamEvent, maybeError: boolean) => void
}

const LF = 10
const CR = 13
const BOM = 0xfeff
const COLON = 58
const SPACE = 32
const LOWER_D = 100
const LOWER_E = 101
const END_MARKER = '[DONE]'

/** A parser for one stream. */
export function createSseParser(options: SseParserOptions): SseParser {
  return new ByteSseParser(options)
}

/** A class, not closures: one object with a dozen fields that every method touches on the hottest path of the system. */
class ByteSseParser implements SseParser {
  readonly #maxEventBytes: number
  readonly #onEvent: SseParserOptions['onEvent']
  readonly #rest = createByteStore()
  // Whole decoded lines that wait for `drain`; always '' or ending in LF, CR already turned into LF.
  #text = ''
  #position = 0
  #isAscii = true
  #maybeError = false
  #atStart = true
  #skipLf = false
  #tooBig = false
  #endMarkerSeen = false
  // The event under construction.
  #name = ''
  #data = ''
  #hasData = false
  #eventBytes = 0
  // The value of the last data line, which is not in `#eventBytes`: most events end before anybody must know its bytes.
  #uncounted = ''
  #lastId = ''
  // Most streams repeat one event name: its whole line is matched at once and the name string is reused.
  #nameLine = 'event: message\n'
  #nameOfLine = 'message'

  constructor(options: SseParserOptions) {
    this.#maxEventBytes = options.maxEventBytes
    this.#onEvent = options.onEvent
  }

  push(received: Buffer): void {
    if (received.length === 0 || this.#tooBig) return
    const chunk = this.#skipLf && received[0] === LF ? received.subarray(1) : received
    if (chunk.length === 0) {
      this.#skipLf = false
      return
    }
    this.#skipLf = chunk.at(-1) === CR
    const end = lastLineEnd(chunk) + 1
    if (end > 0) this.#takeLines(chunk.subarray(0, end))
    if (end === chunk.length) return
    if (this.#rest.length() + chunk.length - end > this.#maxEventBytes) this.#tooBig = true
    else this.#rest.append(chunk, end)
  }

  #takeLines(lines: Buffer): void {
    const bytes = this.#rest.takeWith(lines)
    let decoded = bytes.toString('utf8')
    const isAscii = decoded.length === bytes.length
    if (decoded.includes('\r')) decoded = decoded.replaceAll(/\r\n?/g, '\n')
    if (this.#atStart && decoded.charCodeAt(0) === BOM) decoded = decoded.slice(1)
    this.#atStart = false
    const pending = this.#position < this.#text.length
    this.#isAscii = isAscii && (!pending || this.#isAscii)
    this.#maybeError = decoded.includes('"error"') || (pending && this.#maybeError)
    this.#text = pending ? this.#text.slice(this.#position) + decoded : decoded
    this.#position = 0
  }

  drain(maxEvents: number): 'done' | 'more' | 'too_big' {
    const text = this.#text
    let budget = maxEvents
    while (this.#position < text.length) {
      const position = this.#position
      const first = text.charCodeAt(position)
      if (first === LF) {
        this.#position = position + 1
        if (this.#dispatch() && --budget === 0) break
      } else if (first === LOWER_E && text.startsWith(this.#nameLine, position)) {
        this.#name = this.#nameOfLine
        this.#eventBytes += this.#nameLine.length - 1
        this.#position = position + this.#nameLine.length
      } else {
        const end = text.indexOf('\n', position)
        if (this.#isOverCap(end)) return 'too_big'
        if (first === LOWER_D && text.startsWith('data:', position)) this.#takeData(end)
        else if (first !== COLON) this.#takeField(text.slice(position, end))
        this.#position = end + 1
      }
    }
    if (this.#position < text.length) return 'more'
    return this.#tooBig ? 'too_big' : 'done'
  }

  /** Whether the line that ends at `end` makes the event too big. Counted before the line is copied anywhere. */
  #isOverCap(end: number): boolean {
    const length = end - this.#position
    // UTF-8 has at most three bytes per UTF-16 unit, so only lines near the cap are counted exactly.
    if (this.#eventBytes + this.#uncounted.length * 3 + length * (this.#isAscii ? 1 : 3) <= this.#maxEventBytes) return false
    this.#countValue()
    this.#tooBig = this.#eventBytes + Buffer.byteLength(this.#text.slice(this.#position, end)) > this.#maxEventBytes
    return this.#tooBig
  }

  #takeData(end: number): void {
    const position = this.#position
    const from = this.#text.charCodeAt(position + 5) === SPACE ? position + 6 : position + 5
    const value = this.#text.slice(from, end)
    this.#countValue()
    this.#eventBytes += (this.#isAscii ? end : from) - position
    if (!this.#isAscii) this.#uncounted = value
    this.#addData(value)
  }

  #countValue(): void {
    if (this.#uncounted === '') return
    this.#eventBytes += Buffer.byteLength(this.#uncounted)
    this.#uncounted = ''
  }

  #addData(value: string): void {
    this.#data = this.#hasData ? `${this.#data}\n${value}` : value
    this.#hasData = true
  }

  /** `event`, `id` and the rest; a line without a colon is a field with an empty value. Unknown fields are ignored. */
  #takeField(line: string): void {
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1)
    if (field === 'event') {
      this.#name = value
      this.#nameLine = `${line}\n`
      this.#nameOfLine = value
      this.#eventBytes += line.length
    } else if (field === 'id' && !value.includes('\0')) this.#lastId = value
    else if (field === 'data') {
      this.#addData(value)
      this.#eventBytes += line.length
    }
  }

  /** Ends the event at its empty line (S3); true when something was delivered. */
  #dispatch(): boolean {
    const event = { event: this.#name === '' ? 'message' : this.#name, data: this.#data, id: this.#lastId }
    const hasData = this.#hasData
    this.#name = ''
    this.#data = ''
    this.#hasData = false
    this.#eventBytes = 0
    this.#uncounted = ''
    if (!hasData) return false
    if (event.data === END_MARKER) this.#endMarkerSeen = true
    else this.#onEvent(event, this.#maybeError)
    return true
  }

  finish(): SseEnd {
    const line = this.#rest.takeWith(Buffer.alloc(0)).toString('utf8')
    // Some servers end without the last empty line; an end marker there still says that the stream is whole.
    const isMarker = this.#hasData ? this.#data === END_MARKER : /^data: ?\[DONE\]$/.test(line)
    const unfinishedEvent = !isMarker && (this.#hasData || line.startsWith('data:'))
    return { unfinishedEvent, endMarkerSeen: this.#endMarkerSeen || isMarker }
  }
}

/** Index of the last LF or CR, or -1. The part behind the last LF is short in practice, so CR costs nothing there. */
function lastLineEnd(chunk: Buffer): number {
  const lf = chunk.lastIndexOf(LF)
  return chunk.indexOf(CR, lf + 1) < 0 ? lf : chunk.lastIndexOf(CR)
}

/**
 * The unfinished line. Bytes are copied into one growing buffer: keeping the chunks themselves would cost a hundred bytes of bookkeeping for each
 * byte of a stream that arrives byte by byte.
 */
function createByteStore(): { length(): number; append(chunk: Buffer, from: number): void; takeWith(lines: Buffer): Buffer } {
  let store: Buffer = Buffer.alloc(0)
  let used = 0
  return {
    length: () => used,
    append(chunk, from) {
      const needed = used + chunk.length - from
      if (needed > store.length) {
        const grown = Buffer.allocUnsafeSlow(Math.max(needed, store.length * 2, 1024))
        store.copy(grown, 0, 0, used)
        store = grown
      }
      chunk.copy(store, used, from)
      used = needed
    },
    takeWith(lines) {
      if (used === 0) return lines
      const whole = Buffer.concat([store.subarray(0, used), lines])
      used = 0
      return whole
    },
  }
}
