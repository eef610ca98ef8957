/** Who may speak to a server on loopback: nobody whose browser was led here (threat row 38), and nobody without the token (row 39). */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** The names under which a browser or client can mean this very machine, with any port: a forwarded one is another than ours. */
const LOOPBACK = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/u

/** What is wrong with where the request says it goes and where it comes from; null for nothing. */
export function placeProblem(request: IncomingMessage): string | null {
  const { host = [], origin } = request.headersDistinct
  const [name = ''] = host
  if (host.length !== 1 || !LOOPBACK.test(name) || !URL.canParse(`http://${name}`))
    return 'The Host header names no loopback address.'
  // Pages of this server only: a page of another port is another program's.
  if (origin !== undefined && (origin.length !== 1 || origin[0] !== `http://${name}`))
    return 'The Origin header names another site.'
  return null
}

/**
 * Whether the request carries the token. Both are hashed before they are compared, so that neither content nor length shows in the time.
 */
export function bearsToken(request: IncomingMessage, token: string): boolean {
  const [given = '', ...more] = request.headersDistinct['authorization'] ?? []
  const bearer = /^Bearer +([\w.~+/=-]+)$/iu.exec(given)?.[1]
  return more.length === 0 && bearer !== undefined && timingSafeEqual(sha256(bearer), sha256(token))
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
