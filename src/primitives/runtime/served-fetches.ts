import type { ToolFetch } from './contract.ts'
import { type HostMessage, MAX_FETCH_BODY_BYTES, type WireRequest } from './worker/messages.ts'

/** The requests that one worker has asked for and not got. */
export interface ServedFetches {
  begin(id: number, request: WireRequest): void
  refuse(id: number, message: string): void
  abort(id: number): void
  abortAll(): void
}

/** More at once from one tool is a mistake or an attack. */
const MAX_OPEN = 16

export function serveFetches(fetch: ToolFetch, send: (message: HostMessage) => void): ServedFetches {
  const open = new Map<number, AbortController>()
  const refuse = (id: number, message: string): void => send({ type: 'fetch_failed', id, message })
  const serve = async (id: number, { body, ...head }: WireRequest, signal: AbortSignal): Promise<void> => {
    try {
      const bytes = body === null ? null : Buffer.from(body, 'base64')
      if (bytes !== null && bytes.length > MAX_FETCH_BODY_BYTES) return refuse(id, 'the body of the request is too long.')
      const response = await fetch({ ...head, body: bytes }, signal)
      if (signal.aborted) return
      if ((response.body?.length ?? 0) > MAX_FETCH_BODY_BYTES) return refuse(id, 'the body of the answer is too long.')
      const text = response.body === null ? null : Buffer.from(response.body).toString('base64')
      send({ type: 'fetched', id, response: { ...response, body: text } })
    } catch (error) {
      if (!signal.aborted) refuse(id, error instanceof Error ? error.message : String(error))
    } finally {
      open.delete(id)
    }
  }
  return {
    begin(id, request) {
      if (open.has(id) || open.size >= MAX_OPEN) return refuse(id, `at most ${MAX_OPEN} requests may be open at once.`)
      const controller = new AbortController()
      open.set(id, controller)
      void serve(id, request, controller.signal)
    },
    refuse,
    abort: (id) => open.get(id)?.abort(),
    abortAll() {
      for (const controller of open.values()) controller.abort()
    },
  }
}
