import type { IncomingMessage, ServerResponse } from 'node:http'

/** An answer that the server gives without asking the service behind it: an error of JSON-RPC without an id. */
export interface Refusal {
  readonly status: number
  /** Default -32000. */
  readonly code?: number
  /** For a person: what is wrong, and what to do. Quotes nothing of the request. */
  readonly message: string
  readonly headers?: Readonly<Record<string, string>>
}

export function refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  if (response.headersSent || response.destroyed) return
  const { status, code = -32_000, message, headers = {} } = refusal
  const body = JSON.stringify({ jsonrpc: '2.0', error: { code, message }, id: null })
  response.writeHead(status, { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
  discardRest(request)
}

/** More than a client that is told to stop can have on the way. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024

/**
 * Reads on, so that a client that is still sending gets to read its answer: closing at once would reset the connection. Who sends on is cut off.
 */
function discardRest(request: IncomingMessage): void {
  if (request.complete) return
  let discarded = 0
  request.on('data', (chunk: Buffer) => {
    discarded += chunk.length
    if (discarded > MAX_DISCARDED_BYTES) request.destroy()
  })
  request.resume()
}
