import type { IncomingMessage } from 'node:http'
import { isWithinBounds, TEXT_BOUNDS } from '../json-text/json-bounds.ts'
import { readBody } from './body-source.ts'
import type { BodyConsumer, BodyEnd } from './body-source.ts'
import type { HttpError } from './contract.ts'
import { cutFailure, failure, limitFailure } from './failure.ts'
import type { Lifeline } from './lifeline.ts'

/** A whole body in memory: parsed JSON where the answer says JSON, else text, null when empty. */
export interface WholeBody {
  readonly body: unknown
  /** Set when the body is not what was sent: cut, over the cap, undecodable, or JSON that is broken or nests too deeply. What was readable is in `body`. */
  readonly error: HttpError | null
}

/** Reads the answer to its end and makes sense of it by its content type. */
export async function readWholeBody(
  response: IncomingMessage,
  options: { readonly request: string; readonly maxBytes: number; readonly lifeline: Lifeline },
): Promise<WholeBody> {
  const chunks: Buffer[] = []
  const collector: BodyConsumer = {
    push: (chunk) => void chunks.push(chunk),
    work: () => 'done',
  }
  const end = await readBody(response, collector, options)
  const error = errorOfEnd(end, { ...options, mode: 'sync' })
  const text = decodeText(Buffer.concat(chunks), contentType(response))
  if (text === '') return { body: null, error }
  if (!isJson(contentType(response))) return { body: text, error }
  if (!isWithinBounds(text, TEXT_BOUNDS)) {
    const message = `${options.request}: the answer is JSON that nests deeper than ${TEXT_BOUNDS.maxDepth} levels.`
    return { body: null, error: error ?? failure('INVALID_RESPONSE', message) }
  }
  try {
    const body: unknown = JSON.parse(text)
    return { body, error }
  } catch (cause) {
    const message = `${options.request}: the answer says JSON and is not: ${cause instanceof Error ? cause.message : String(cause)}.`
    return { body: text, error: error ?? failure('INVALID_RESPONSE', message) }
  }
}

/** What the end of a body means for the call; null for a whole body. A stopped one has its reason in the lifeline, if anywhere. */
export function errorOfEnd(
  end: BodyEnd,
  options: { readonly request: string; readonly maxBytes: number; readonly lifeline: Lifeline; readonly mode: 'sync' | 'stream' },
): HttpError | null {
  switch (end.kind) {
    case 'complete':
      return null
    case 'stopped':
      return options.lifeline.failure()
    case 'cut':
      return cutFailure(options.request, options.mode, { reason: end.reason })
    case 'undecodable':
      return failure('INVALID_RESPONSE', `${options.request}: the answer cannot be decoded: ${end.reason}.`)
    case 'over_limit':
      return limitFailure(options.request, 'max_response_bytes', options.maxBytes)
  }
}

/** One string per header; repeated ones are joined as HTTP allows. */
export function flattenHeaders(response: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return headers
}

/** Lower-case media type with its parameters, '' when absent. */
export function contentType(response: IncomingMessage): string {
  return (response.headers['content-type'] ?? '').toLowerCase()
}

/** `application/json`, `application/problem+json`, … */
export function isJson(type: string): boolean {
  return /^(?:application|text)\/(?:[\w.-]+\+)?json\b/.test(type.trim())
}

function decodeText(bytes: Buffer, type: string): string {
  const charset = /charset="?([\w-]+)"?/.exec(type)?.[1] ?? 'utf-8'
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch {
    // A charset that nobody knows: UTF-8 is the best guess, and replacement characters show where it was wrong.
    return bytes.toString('utf8')
  }
}
