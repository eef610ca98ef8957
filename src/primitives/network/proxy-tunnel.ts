import * as net from 'node:net'
import type { Duplex } from 'node:stream'
import { pinnedLookup } from './guarded-lookup.ts'
import { closed } from './proxy-passage.ts'
import type { Passage } from './proxy-passage.ts'

/**
 * Joins the client to the checked addresses and says so, or answers why not. The tunnel ends when either side is gone, or after `idleMs`
 * without a byte in either direction.
 */
export function openTunnel(
  client: Duplex,
  passage: Passage & { readonly kind: 'open' },
  { head, connectMs, idleMs }: { readonly head: Buffer; readonly connectMs: number; readonly idleMs: number },
): void {
  if (client.destroyed) return
  const { host, port } = passage.target
  // Half-open: the last bytes of one side reach the other although the first has nothing more to say.
  const server = net.connect({ host: bare(host), port, lookup: pinnedLookup(passage.addresses), allowHalfOpen: true })
  let isOpen = false
  const fail = (status: 502 | 504, reason: string): void => {
    server.destroy()
    if (isOpen) client.destroy()
    else refuseTunnel(client, closed(status, `${host}:${port} could not be reached: ${reason}.`))
  }
  const timer = setTimeout(() => fail(504, `no connection within ${connectMs} ms`), connectMs)
  server.once('connect', () => {
    isOpen = true
    clearTimeout(timer)
    client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    server.write(head)
    client.pipe(server)
    server.pipe(client)
  })
  server.setTimeout(idleMs, () => server.destroy())
  server.on('error', (error) => fail(502, error.message))
  server.once('close', () => {
    clearTimeout(timer)
    // After an orderly end the client has been ended by the pipe, and still gets what is on its way.
    if (isOpen && !client.writableEnded) client.destroy()
  })
  client.once('close', () => server.destroy())
}

/** Answers a CONNECT request with an error and hangs up. */
export function refuseTunnel(client: Duplex, { status, reason }: Passage & { readonly kind: 'closed' }): void {
  const body = `${reason}\n`
  const head = [
    `HTTP/1.1 ${status} ${STATUS_TEXT[status]}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  client.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => client.destroy())
}

const STATUS_TEXT = { 403: 'Forbidden', 502: 'Bad Gateway', 504: 'Gateway Timeout' } as const

function bare(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}
