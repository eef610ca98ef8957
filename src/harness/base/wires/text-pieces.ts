/**
 * Text that arrives in pieces and is read as a whole, in linear time.
 *
 * A piece is often a slice of a network chunk and keeps that whole chunk alive, so pieces are copied together every few hundred:
 * what stays in memory is the text, not the stream it came in.
 */
export interface TextPieces {
  add(piece: string): void
  text(): string
}

const PIECES_PER_JOIN = 256

/** No text yet. */
export function createTextPieces(): TextPieces {
  let joined: string[] = []
  let recent: string[] = []
  const settle = (): void => {
    joined.push(recent.join(''))
    recent = []
  }
  return {
    add: (piece) => {
      if (recent.push(piece) === PIECES_PER_JOIN) settle()
    },
    text: () => {
      if (recent.length > 0) settle()
      if (joined.length > 1) joined = [joined.join('')]
      return joined[0] ?? ''
    },
  }
}
