import type { ItemProblem } from './item.ts'

/** Larger files are listed but never read: no parser sees them. */
export const MAX_ITEM_BYTES: number = 1024 * 1024

/** Nesting that any item file may have, checked before anything recursive touches the file. */
export const MAX_NESTING: number = 64

/** A problem of a file whose name is known elsewhere. */
export type Finding = Omit<ItemProblem, 'file'>

export interface Position {
  readonly line: number
  readonly column: number
}

/** The text of a file without its byte-order mark; offsets are UTF-16 indexes into `text`. */
export interface SourceText {
  readonly text: string
  position(offset: number): Position
}

export type Decoded =
  | { readonly kind: 'text'; readonly source: SourceText }
  | { readonly kind: 'invalid'; readonly finding: Finding }

/** Bytes as text. Anything but UTF-8, and NUL characters, are refused: they show differently in each editor and parser. */
export function decodeSource(bytes: Uint8Array): Decoded {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return { kind: 'invalid', finding: { line: 1, column: 1, reason: 'the file is not UTF-8 text', fix: 'Save it as UTF-8.' } }
  }
  const source = createSourceText(text)
  const nul = text.indexOf('\0')
  if (nul === -1) return { kind: 'text', source }
  return {
    kind: 'invalid',
    finding: { ...source.position(nul), reason: 'a NUL character', fix: 'Remove it; item files are plain text.' },
  }
}

export function createSourceText(text: string): SourceText {
  let lineStarts: readonly number[] | null = null
  return {
    text,
    position(offset) {
      lineStarts ??= findLineStarts(text)
      let low = 0
      let high = lineStarts.length - 1
      while (low < high) {
        const middle = (low + high + 1) >> 1
        if ((lineStarts[middle] ?? 0) <= offset) low = middle
        else high = middle - 1
      }
      return { line: low + 1, column: Math.max(offset - (lineStarts[low] ?? 0), 0) + 1 }
    },
  }
}

function findLineStarts(text: string): readonly number[] {
  const starts = [0]
  for (let feed = text.indexOf('\n'); feed !== -1; feed = text.indexOf('\n', feed + 1)) starts.push(feed + 1)
  return starts
}
