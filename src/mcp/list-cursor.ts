import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server'

/** The cursor of a list: where the page before it ended. It holds no more than what that page showed. */
export function listCursor(position: string): string {
  return Buffer.from(position).toString('base64url')
}

/** The position that `cursor` stands for, or null for the first page. @throws ProtocolError invalid params, when `isPosition` refuses it. */
export function listPosition(cursor: string | undefined, isPosition: (text: string) => boolean): string | null {
  if (cursor === undefined) return null
  const position = cursor.length > 1024 ? '' : Buffer.from(cursor, 'base64url').toString()
  if (!isPosition(position))
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'This cursor is none of this list. Begin again without one.')
  return position
}

/** Kept free on each page for what stands around its items: the cursor, and what the protocol adds. */
export const LIST_FRAME_BYTES = 2_048

/** As many of the first items as fit, written as JSON, into `maxBytes`. */
export function fitting<T>(items: readonly T[], maxBytes: number): T[] {
  let left = maxBytes
  const firstTooMany = items.findIndex((item) => (left -= sizeOf(item) + 1) < 0)
  return firstTooMany === -1 ? [...items] : items.slice(0, firstTooMany)
}

/** Bytes of the value as JSON. */
export function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
