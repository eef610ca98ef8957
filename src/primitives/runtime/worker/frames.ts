/** Bytes before each message: its length, little-endian. */
const HEADER_BYTES = 4
/** Beyond this a message's nesting is looked at before it is parsed: a short one cannot be nested deep enough to matter. */
const UNCHECKED_BYTES = 64 * 1024
const MAX_NESTING = 1_000

/** One message as it goes over the pipe: its length and its JSON. */
export function encodeFrame(message: unknown): Buffer {
  const text = JSON.stringify(message)
  const frame = Buffer.allocUnsafe(HEADER_BYTES + Buffer.byteLength(text))
  frame.writeUInt32LE(frame.length - HEADER_BYTES, 0)
  frame.write(text, HEADER_BYTES)
  return frame
}

/**
 * Puts messages together from pieces of any size and hands each to `onMessage` with the length of its JSON in bytes.
 *
 * @throws {RangeError} from the returned function for a length above `maxBytes`, before any of it is kept.
 * @throws {SyntaxError} for what is no JSON, or is nested more than 1,000 deep.
 */
export function createFrameReader(
  maxBytes: number,
  onMessage: (message: unknown, bytes: number) => void,
): (piece: Buffer) => void {
  let pieces: Buffer[] = []
  let held = 0
  let wanted = HEADER_BYTES
  let inBody = false
  return (piece) => {
    pieces.push(piece)
    held += piece.length
    while (held >= wanted) {
      const all = pieces.length === 1 ? (pieces[0] ?? Buffer.alloc(0)) : Buffer.concat(pieces, held)
      const part = all.subarray(0, wanted)
      pieces = held === wanted ? [] : [all.subarray(wanted)]
      held -= wanted
      if (inBody) {
        const message = parseBody(part)
        wanted = HEADER_BYTES
        inBody = false
        onMessage(message, part.length)
        continue
      }
      wanted = part.readUInt32LE(0)
      inBody = true
      if (wanted > maxBytes) throw new RangeError(`a message of ${wanted} bytes was announced, ${maxBytes} are the most`)
    }
  }
}

function parseBody(body: Buffer): unknown {
  if (body.length > UNCHECKED_BYTES) assertShallow(body)
  return JSON.parse(body.toString('utf8'))
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPENING = new Set([0x5b, 0x7b])
const CLOSING = new Set([0x5d, 0x7d])

/** Counted before parsing: JSON.parse follows millions of levels and takes hundreds of megabytes for them. */
function assertShallow(body: Buffer): void {
  let depth = 0
  let at = 0
  while (at < body.length) {
    const byte = body[at] ?? 0
    if (byte === QUOTE) at = endOfString(body, at)
    else if (OPENING.has(byte)) depth += 1
    else if (CLOSING.has(byte)) depth -= 1
    if (depth > MAX_NESTING) throw new SyntaxError(`a message is nested more than ${MAX_NESTING} deep`)
    at += 1
  }
}

/** Long strings are the usual reason for a long message: they are skipped by searching, not byte by byte. */
function endOfString(body: Buffer, start: number): number {
  for (let end = body.indexOf(QUOTE, start + 1); end !== -1; end = body.indexOf(QUOTE, end + 1)) {
    let slashes = 0
    while (body[end - 1 - slashes] === BACKSLASH) slashes += 1
    if (slashes % 2 === 0) return end
  }
  return body.length
}
