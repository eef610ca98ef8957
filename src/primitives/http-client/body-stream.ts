import type { IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream'
import type { Readable } from 'node:stream'
import { createDecoders } from './body-source.ts'
import type { HttpError } from './contract.ts'
import { cutFailure, failure, limitFailure } from './failure.ts'
import type { Lifeline } from './lifeline.ts'

export interface BodyStreamOptions {
  /** What messages call the request. */
  readonly name: string
  /** Ended with the body. */
  readonly lifeline: Lifeline
  /** Decoded bytes. */
  readonly maxBytes: number
  /** No timer runs between two pieces. */
  readonly mayBeSilent: boolean
  /** What the reader of the stream is rejected with. */
  readonly errorOf: (error: HttpError) => unknown
}

/**
 * The decoded body of an answer as a stream that is read only as far as somebody asks: what waits is one chunk and the buffers of the socket and
 * the decoder. Its timer runs only while somebody waits. Cancelling it closes the connection.
 */
export function openBody(response: IncomingMessage, options: BodyStreamOptions): ReadableStream<Uint8Array> {
  const { name, lifeline, maxBytes } = options
  const decoders = createDecoders(response.headers['content-encoding'] ?? '')
  if (!Array.isArray(decoders)) {
    close(response, lifeline)
    throw options.errorOf(failure('INVALID_RESPONSE', `${name}: the answer cannot be decoded: ${decoders.reason}.`))
  }
  const last: Readable = decoders.at(-1) ?? response
  // Each part ends the others; the reader below is told by the last one.
  if (decoders.length > 0) pipeline([response, ...decoders], () => undefined)
  // A connection may be lost while nobody reads; the next one who does is told.
  last.on('error', () => undefined)
  response.on('error', () => undefined)
  lifeline.onCut(() => last.destroy(new Error('cut')))
  const chunks = last.iterator({ destroyOnReturn: true })
  let room = maxBytes

  const errorOf = (error: unknown): unknown => options.errorOf(lifeline.failure() ?? bodyFailure(name, error))
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          if (!options.mayBeSilent) lifeline.watch('between_bytes')
          const { value, done } = await chunks.next()
          lifeline.rest()
          if (done === true) {
            close(response, lifeline)
            controller.close()
            return
          }
          // Nobody set an encoding on the stream, so that it yields bytes.
          const chunk = value as Buffer
          room -= chunk.length
          if (room < 0) throw new BodyTooLong()
          controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length))
        } catch (error) {
          const reason =
            error instanceof BodyTooLong ? options.errorOf(limitFailure(name, 'max_response_bytes', maxBytes)) : errorOf(error)
          close(response, lifeline)
          last.destroy()
          controller.error(reason)
        }
      },
      cancel() {
        close(response, lifeline)
        last.destroy()
      },
    },
    { highWaterMark: 0 },
  )
}

class BodyTooLong extends Error {}

/** A connection whose answer was read to its end is kept, any other is closed. */
function close(response: IncomingMessage, lifeline: Lifeline): void {
  lifeline.end()
  if (!response.readableEnded) response.destroy()
}

function bodyFailure(name: string, error: unknown): HttpError {
  const reason = error instanceof Error ? error.message : String(error)
  const isDecoder =
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    /^(?:Z_|ERR_BROTLI|ERR_ZSTD|ZSTD_)/.test(error.code)
  if (isDecoder) return failure('INVALID_RESPONSE', `${name}: the answer cannot be decoded: ${reason}.`)
  return cutFailure(name, 'sync', { reason })
}
