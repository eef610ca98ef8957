/** Bytes in, lines out, with a bound on what is kept of a line that has not ended. */
export interface LineReader {
  /** False as soon as a line is too long; then nothing is kept and nothing more may be pushed. */
  push(chunk: Buffer): boolean
  /** What came after the last line end; empty when there is nothing. */
  rest(): string
}

/** Enough for most messages, so that most lines are never copied twice. */
const FIRST_BYTES = 4_096

/**
 * Splits at line feeds; a carriage return before one belongs to the line end. Keeps at most `maxLineBytes`, in one buffer: a process that writes
 * byte for byte would make a million pieces.
 */
export function createLineReader(maxLineBytes: number, onLine: (line: string) => void): LineReader {
  let kept = Buffer.alloc(0)
  let bytes = 0

  const keep = (piece: Buffer): void => {
    const needed = bytes + piece.length
    if (needed > kept.length) {
      const larger = Buffer.allocUnsafe(Math.min(maxLineBytes, Math.max(needed, kept.length * 2, FIRST_BYTES)))
      kept.copy(larger, 0, 0, bytes)
      kept = larger
    }
    piece.copy(kept, bytes)
    bytes = needed
  }
  const drop = (): void => {
    bytes = 0
    kept = Buffer.alloc(0)
  }
  const take = (end: Buffer): string => {
    if (bytes === 0) return textOf(end)
    keep(end)
    const line = textOf(kept.subarray(0, bytes))
    drop()
    return line
  }

  return {
    push(chunk) {
      let from = 0
      for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, from)) {
        if (bytes + at - from > maxLineBytes) {
          drop()
          return false
        }
        onLine(take(chunk.subarray(from, at)))
        from = at + 1
      }
      if (bytes + chunk.length - from > maxLineBytes) {
        drop()
        return false
      }
      if (from < chunk.length) keep(chunk.subarray(from))
      return true
    },
    rest() {
      const line = textOf(kept.subarray(0, bytes))
      drop()
      return line
    },
  }
}

const LINE_FEED = 10
const CARRIAGE_RETURN = 13

function textOf(line: Buffer): string {
  const end = line.at(-1) === CARRIAGE_RETURN ? line.length - 1 : line.length
  return line.toString('utf8', 0, end)
}
