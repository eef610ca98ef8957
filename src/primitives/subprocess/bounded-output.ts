/** What was kept of a stream of any length: its beginning, its end and how long it was. */
export interface KeptOutput {
  /** The whole text, or beginning and end with a line between that says how many bytes are missing. */
  readonly text: string
  readonly bytes: number
  readonly truncated: boolean
}

export interface BoundedOutput {
  push(chunk: Buffer): void
  finish(): KeptOutput
}

/** Keeps at most `maxBytes` (and one chunk) in memory, half for the beginning and half for the end. */
export function createBoundedOutput(maxBytes: number): BoundedOutput {
  const headLimit = Math.ceil(maxBytes / 2)
  const tailLimit = maxBytes - headLimit
  const head: Buffer[] = []
  const tail: Buffer[] = []
  let headBytes = 0
  let tailBytes = 0
  let bytes = 0

  const keepTail = (chunk: Buffer): void => {
    tail.push(chunk)
    tailBytes += chunk.length
    for (let first = tail[0]; first !== undefined && tailBytes - first.length >= tailLimit; first = tail[0]) {
      tail.shift()
      tailBytes -= first.length
    }
  }

  return {
    push(chunk) {
      bytes += chunk.length
      const room = headLimit - headBytes
      if (room > 0) {
        const part = chunk.subarray(0, room)
        head.push(part)
        headBytes += part.length
      }
      if (chunk.length > room) keepTail(chunk.subarray(Math.max(room, 0)))
    },
    finish() {
      if (bytes <= maxBytes) return { text: Buffer.concat([...head, ...tail]).toString('utf8'), bytes, truncated: false }
      const end = tailLimit === 0 ? Buffer.alloc(0) : Buffer.concat(tail).subarray(-tailLimit)
      const missing = bytes - headBytes - end.length
      const text = `${Buffer.concat(head).toString('utf8')}\n[… ${missing} bytes left out …]\n${end.toString('utf8')}`
      return { text, bytes, truncated: true }
    },
  }
}
