import type { IncomingMessage } from 'node:http'
import { isWithinBounds, MESSAGE_BOUNDS } from '../primitives/json-text/json-bounds.ts'

export type BodyReading =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'not_json' }
  /** Nested deeper, or of more values, or a batch of more messages, than any client sends. */
  | { readonly kind: 'out_of_bounds' }
  /** The client went away in the middle. */
  | { readonly kind: 'gone' }

/** Messages of one body; what an older client sends together is a handful. */
const MAX_BATCH = 100

/** The whole body as JSON. Nothing is kept or parsed beyond `maxBytes`. Never rejects. */
export async function readJsonBody(request: IncomingMessage, maxBytes: number): Promise<BodyReading> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return { kind: 'too_large' }
  const bytes = await readUpTo(request, maxBytes)
  if (!Buffer.isBuffer(bytes)) return { kind: bytes }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    if (!isWithinBounds(text, MESSAGE_BOUNDS)) return { kind: 'out_of_bounds' }
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) && value.length > MAX_BATCH ? { kind: 'out_of_bounds' } : { kind: 'json', value }
  } catch {
    return { kind: 'not_json' }
  }
}

/** Listens by hand: leaving an iteration in the middle would destroy the request before it was answered. */
function readUpTo(request: IncomingMessage, maxBytes: number): Promise<Buffer | 'too_large' | 'gone'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    const finish = (outcome: Buffer | 'too_large' | 'gone'): void => {
      request.off('data', onData)
      resolve(outcome)
    }
    const onData = (chunk: Buffer): void => {
      length += chunk.length
      if (length > maxBytes) finish('too_large')
      else chunks.push(chunk)
    }
    request.on('data', onData)
    request.once('end', () => finish(Buffer.concat(chunks)))
    request.once('error', () => finish('gone'))
    request.once('close', () => finish('gone'))
  })
}
