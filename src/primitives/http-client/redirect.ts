import type { IncomingMessage } from 'node:http'
import type { OutgoingRequest } from './exchange.ts'

/** Headers that may follow a request to another origin; anything else could be a credential. */
const PUBLIC_HEADERS = new Set(['accept', 'accept-encoding', 'accept-language', 'content-type', 'user-agent'])

/**
 * The request that an answer redirects to, or null when it is not a redirect that can be followed (no or unreadable location, not HTTP, or from https
 * down to http). Another origin gets no credentials; 303, and 301 or 302 after POST, become GET without a body.
 */
export function nextHop(from: OutgoingRequest, response: IncomingMessage): Omit<OutgoingRequest, 'name'> | null {
  const status = response.statusCode ?? 0
  const { location } = response.headers
  if (![301, 302, 303, 307, 308].includes(status) || location === undefined || !URL.canParse(location, from.url)) return null
  const url = new URL(location, from.url)
  url.hash = ''
  const isHttp = url.protocol === 'https:' || (url.protocol === 'http:' && from.url.protocol === 'http:')
  if (!isHttp || url.username !== '' || url.password !== '') return null
  const becomesGet = status === 303 ? from.method !== 'HEAD' : status !== 307 && status !== 308 && from.method === 'POST'
  const kept = Object.entries(from.headers).filter(
    ([name]) => (url.origin === from.url.origin || PUBLIC_HEADERS.has(name)) && !(becomesGet && name === 'content-type'),
  )
  return { method: becomesGet ? 'GET' : from.method, url, headers: Object.fromEntries(kept), body: becomesGet ? null : from.body }
}
