import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'

/** One line of the request log. No key and no content is in it: the body is known by its hash. */
export interface LoggedRequest {
  readonly seq: number
  readonly wire: 'anthropic_messages' | 'openai_chat'
  readonly model: string | null
  readonly message_count: number | null
  readonly turn: number | null
  readonly stream: boolean
  readonly body_sha256: string
  readonly body_bytes: number
  readonly auth: boolean
  /** Rule that answered; null when the request was refused. */
  readonly rule: string | null
  readonly fault: string | null
  /** Status that the answer began with. */
  readonly status: number
}

export interface RequestLog {
  add(request: LoggedRequest): void
  /** The newest 100,000 requests. */
  list(): readonly LoggedRequest[]
  /** Resolves when everything is on disk. */
  close(): Promise<void>
}

const MAX_KEPT = 100_000

/** A log in memory, and one JSON line for each request at `path`, appended when it is answered. */
export function createRequestLog(path: string | null): RequestLog {
  const file = path === null ? null : createWriteStream(path, { flags: 'a', mode: 0o600 })
  // A log that cannot be written must not take the model down; `close` reports it.
  let failure: Error | null = null
  file?.on('error', (error) => {
    failure = error
  })
  let kept: LoggedRequest[] = []
  return {
    add: (request) => {
      if (kept.length >= 2 * MAX_KEPT) kept = kept.slice(-MAX_KEPT)
      kept.push(request)
      if (failure === null) file?.write(`${JSON.stringify(request)}\n`)
    },
    list: () => kept.slice(-MAX_KEPT),
    close: async () => {
      if (file === null) return
      file.end()
      if (failure === null) await finished(file)
      if (failure !== null) throw failure
    },
  }
}
