/** Between the requests and responses of node:http and those of the web, which the MCP library speaks. */
import type { IncomingMessage, ServerResponse } from 'node:http'

/** What the service must not see: its own key. */
const WITHHELD = new Set(['authorization', 'cookie'])

/**
 * The head of the request. The body is left out: it travels parsed, beside it. Its signal aborts when the client goes before the answer is complete.
 */
export function toWebRequest(request: IncomingMessage, response: ServerResponse): Request {
  const headers = new Headers()
  for (const [name, values] of Object.entries(request.headersDistinct)) {
    if (WITHHELD.has(name)) continue
    for (const value of values ?? []) headers.append(name, value)
  }
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new Error('The client is gone.'))
  })
  const url = `http://${request.headers.host}${request.url}`
  return new Request(url, { method: request.method ?? 'GET', headers, signal: gone.signal })
}

/**
 * Writes the answer, as fast as the client reads it. When the client goes, the body is cancelled. A stream of events that breaks is cut off;
 * any other body that cannot be read rejects, before anything is written.
 */
export async function sendWebResponse(answer: Response, response: ServerResponse): Promise<void> {
  if (response.destroyed) return answer.body?.cancel()
  // Whether the connection stays is between node and the client: one that asked for its end waits for it.
  for (const [name, value] of answer.headers) if (name !== 'connection') response.setHeader(name, value)
  response.statusCode = answer.status
  if (answer.headers.get('content-type')?.startsWith('text/event-stream') === true) return pump(answer, response)
  const body = Buffer.from(await answer.arrayBuffer())
  if (body.length > 0) response.setHeader('content-length', body.length)
  response.end(body)
}

/** Most calls are answered sooner; head, answer and end then leave in one write. */
const HEAD_WAIT_MS = 5

async function pump(answer: Response, response: ServerResponse): Promise<void> {
  const reader = answer.body?.getReader()
  const closed = new Promise<void>((resolve) => response.once('close', resolve))
  // A stream that broke refuses to be cancelled, and has nothing left to end.
  void closed.then(() => reader?.cancel()).catch(() => undefined)
  response.cork()
  const head = setTimeout(() => {
    response.flushHeaders()
    release(response)
  }, HEAD_WAIT_MS)
  try {
    for (;;) {
      const piece = await reader?.read()
      if (piece === undefined || piece.done || response.destroyed) break
      clearTimeout(head)
      if (response.writableCorked === 0) response.cork()
      // After what follows at once: often the end.
      setImmediate(release, response)
      if (!response.write(piece.value)) await Promise.race([drained(response), closed])
    }
  } catch {
    // A stream that broke is cut off below; there is no status left to say it with.
  }
  clearTimeout(head)
  // Node 24 loses what a response still holds back when it ends. So that goes to the socket, whose cork `end` takes off once everything is there.
  response.socket?.cork()
  release(response)
  response.end()
}

function release(response: ServerResponse): void {
  if (response.writableCorked > 0) response.uncork()
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.once('drain', resolve))
}
