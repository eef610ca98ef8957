import type { IncomingMessage } from 'node:http'
import type { Readable, Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import type { Lifeline } from './lifeline.ts'

/** Takes the decoded bytes of one answer. */
export interface BodyConsumer {
  push(chunk: Buffer): void
  /** Works for a moment. `more`: call again; `stop`: it wants no further byte and knows why. */
  work(): 'done' | 'more' | 'stop'
}

/** How the answer's body ended. `stopped`: by the lifeline or the consumer, which hold the reason. */
export type BodyEnd =
  | { readonly kind: 'complete' }
  | { readonly kind: 'cut'; readonly reason: string }
  | { readonly kind: 'undecodable'; readonly reason: string }
  | { readonly kind: 'over_limit' }
  | { readonly kind: 'stopped' }

/** Work in one go before other events of the process get their turn. The loop's delay stays near this however fast bytes arrive. */
const SLICE_MS = 10

/**
 * Reads an answer to its end, undoing its content encoding.
 *
 * The cap counts *decoded* bytes: a bomb is stopped while it unfolds. The consumer gets exactly the bytes up to the cap.
 */
export function readBody(
  response: IncomingMessage,
  consumer: BodyConsumer,
  options: { readonly maxBytes: number; readonly lifeline: Lifeline },
): Promise<BodyEnd> {
  const decoders = createDecoders(response.headers['content-encoding'] ?? '')
  if (!Array.isArray(decoders)) {
    response.destroy()
    return Promise.resolve({ kind: 'undecodable', reason: decoders.reason })
  }
  return new Promise((resolve) => {
    const finish = (end: BodyEnd): void => {
      if (end.kind !== 'complete') {
        response.destroy()
        for (const decoder of decoders) decoder.destroy()
      }
      resolve(end)
    }
    const { lifeline } = options
    const source = decoders.at(-1) ?? response
    const worker = createWorker(consumer, source, { maxBytes: options.maxBytes, finish })
    lifeline.onCut(() => worker.end({ kind: 'stopped' }))
    watchLife(response, lifeline)
    connect(response, decoders, worker)
  })
}

interface Worker {
  take(chunk: Buffer): void
  /** The first end wins; what was pushed before it is still worked off, except after `stopped`. */
  end(end: BodyEnd): void
}

function createWorker(
  consumer: BodyConsumer,
  source: Readable,
  options: { maxBytes: number; finish: (end: BodyEnd) => void },
): Worker {
  let room = options.maxBytes
  let busyMs = 0
  let isYielding = false
  let ending: BodyEnd | null = null
  let isFinished = false

  function finish(end: BodyEnd): void {
    if (isFinished) return
    isFinished = true
    options.finish(end)
  }

  /** Works off what was pushed; yields to the process when the slice is used up. */
  function run(): void {
    const startedMs = performance.now()
    for (;;) {
      const state = consumer.work()
      if (state === 'stop') return finish({ kind: 'stopped' })
      const elapsedMs = performance.now() - startedMs
      if (busyMs + elapsedMs > SLICE_MS) return yieldToProcess()
      if (state === 'done') {
        busyMs += elapsedMs
        break
      }
    }
    if (ending !== null) finish(ending)
  }

  function yieldToProcess(): void {
    isYielding = true
    source.pause()
    setImmediate(() => {
      isYielding = false
      busyMs = 0
      if (isFinished) return
      run()
      if (!isYielding && !isFinished) source.resume()
    })
  }

  return {
    take(chunk) {
      if (isFinished || ending !== null) return
      if (chunk.length > room) ending = { kind: 'over_limit' }
      consumer.push(chunk.length > room ? chunk.subarray(0, room) : chunk)
      room -= chunk.length
      if (!isYielding) run()
    },
    end(end) {
      if (end.kind === 'stopped') return finish(end)
      ending ??= end
      if (!isYielding && !isFinished) run()
    },
  }
}

/** The first byte of the body ends the wait for it; every further piece, however small, is a sign of life. */
function watchLife(response: IncomingMessage, lifeline: Lifeline): void {
  let isFirst = true
  response.on('data', () => {
    if (!isFirst) return lifeline.life()
    isFirst = false
    lifeline.watch('between_bytes')
  })
}

function connect(response: IncomingMessage, decoders: readonly Transform[], worker: Worker): void {
  let cutReason: string | null = null
  const [firstDecoder] = decoders
  const last: Readable = decoders.at(-1) ?? response
  const cut = (reason: string): void => {
    if (cutReason !== null || response.complete) return
    cutReason = reason
    // A decoder may still hold bytes that arrived before the cut; its end, or its complaint about the missing rest, comes after them.
    if (firstDecoder === undefined) worker.end({ kind: 'cut', reason })
    else firstDecoder.end()
  }
  const endOfCut = (): BodyEnd | null => (cutReason === null ? null : { kind: 'cut', reason: cutReason })
  response.on('error', (error) => cut(error.message))
  response.on('close', () => cut('the connection was closed'))
  last.on('data', (chunk: Buffer) => worker.take(chunk))
  last.on('end', () => worker.end(endOfCut() ?? { kind: 'complete' }))
  for (const decoder of decoders)
    decoder.on('error', (error) => worker.end(endOfCut() ?? { kind: 'undecodable', reason: error.message }))
  let from: Readable = response
  for (const decoder of decoders) from = from.pipe(decoder)
}

/** Decoders in the order in which they undo the encodings; at most two, more is only ever an attack. */
export function createDecoders(contentEncoding: string): Transform[] | { reason: string } {
  const encodings = contentEncoding
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity')
    .toReversed()
  if (encodings.length > 2) return { reason: `${encodings.length} content encodings on top of each other` }
  const decoders: Transform[] = []
  for (const name of encodings) {
    const decoder = createDecoder(name)
    if (decoder === null) return { reason: `content encoding "${name}"; gzip, deflate, br and zstd are known` }
    decoders.push(decoder)
  }
  return decoders
}

function createDecoder(name: string): Transform | null {
  if (name === 'gzip' || name === 'x-gzip') return createGunzip()
  if (name === 'deflate') return createInflate()
  if (name === 'br') return createBrotliDecompress()
  return name === 'zstd' ? createZstdDecompress() : null
}
