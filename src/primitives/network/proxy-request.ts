import * as http from 'node:http'
import { pinnedLookup } from './guarded-lookup.ts'
import { closed } from './proxy-passage.ts'
import type { Passage } from './proxy-passage.ts'

/** Meant for the next program on the way only (RFC 9110, 7.6.1), and what is between a client and its proxy. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * Sends the request to the checked addresses on a connection of its own and the answer back, both as they come. Nothing is added but the
 * Host header that the URL asks for.
 */
export function forwardRequest(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  { url, passage, timeouts }: Forwarding,
): void {
  if (response.destroyed) return
  const { method = 'GET' } = request
  let hasFailed = false
  const fail = (status: 502 | 504, reason: string): void => {
    if (hasFailed) return
    hasFailed = true
    outgoing.destroy()
    if (response.headersSent) response.destroy()
    else refuseRequest(response, closed(status, `${url.host} did not answer: ${reason}.`))
  }
  const outgoing = http.request({
    method,
    host: passage.target.host,
    port: passage.target.port,
    path: `${url.pathname}${url.search}`,
    headers: { ...endToEnd(request), host: url.host, ...framing(request) },
    lookup: pinnedLookup(passage.addresses),
    agent: false,
  })
  const timer = setTimeout(() => fail(504, `no connection within ${timeouts.connectMs} ms`), timeouts.connectMs)
  outgoing.once('socket', (socket) => {
    socket.setTimeout(timeouts.idleMs, () => fail(504, `no byte within ${timeouts.idleMs} ms`))
    socket.once('connect', () => clearTimeout(timer))
  })
  outgoing.once('response', (answer) => {
    try {
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', endToEnd(answer))
    } catch (error) {
      return fail(502, `its head cannot be passed on: ${error instanceof Error ? error.message : String(error)}`)
    }
    answer.on('error', () => response.destroy())
    answer.pipe(response)
  })
  outgoing.on('error', (error) => fail(502, error.message))
  outgoing.once('close', () => {
    clearTimeout(timer)
    if (!response.headersSent) fail(502, 'it hung up')
  })
  response.once('close', () => outgoing.destroy())
  request.pipe(outgoing)
}

interface Forwarding {
  readonly url: URL
  readonly passage: Passage & { readonly kind: 'open' }
  readonly timeouts: { readonly connectMs: number; readonly idleMs: number }
}

/** Answers with an error; the connection ends with it. */
export function refuseRequest(response: http.ServerResponse, { status, reason }: Passage & { readonly kind: 'closed' }): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }).end(`${reason}\n`)
}

function endToEnd(message: http.IncomingMessage): Record<string, string[]> {
  const named = (message.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  const kept: Record<string, string[]> = {}
  for (const [name, values] of Object.entries(message.headersDistinct)) {
    if (values !== undefined && name !== '__proto__' && !HOP_BY_HOP.has(name) && !named.includes(name)) kept[name] = values
  }
  return kept
}

/** A body of unknown length goes on as one; its length, if known, is among the other headers. */
function framing(request: http.IncomingMessage): Record<string, string> {
  return request.headers['transfer-encoding'] === undefined ? {} : { 'transfer-encoding': 'chunked' }
}
