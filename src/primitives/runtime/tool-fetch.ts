import type { HttpError } from '../http-client/contract.ts'
import { executeHttp } from '../http-client/http-client.ts'
import type { Grant } from '../sandbox/contract.ts'
import type { ToolFetch } from './contract.ts'
import { MAX_FETCH_BODY_BYTES } from './worker/messages.ts'

const TOTAL_TIMEOUT_MS = 60_000

/**
 * What a tool under `grant` may fetch: the hosts of the grant's network, checked by the HTTP client before it connects and at every redirect.
 *
 * Bodies are text: what is not UTF-8 is refused on the way out and decoded with replacement characters on the way in; JSON comes back
 * with the same values, not the same spelling.
 */
export function createToolFetch(grant: Grant): ToolFetch {
  return async (request, signal) => {
    if (grant.network.kind === 'none') throw new Error(missingPermission(request.url))
    const config = {
      url: request.url,
      method: request.method,
      headers: Object.fromEntries(request.headers.map(([name, value]) => [name, value])),
      ...(request.body === null ? {} : { body: decodeBody(request.body) }),
      follow_redirects: request.followRedirects,
      // Whether to ask again is the tool's own business.
      retry: { max_attempts: 1 },
      timeouts_ms: { total: TOTAL_TIMEOUT_MS },
      limits: { max_response_bytes: MAX_FETCH_BODY_BYTES },
    }
    const result = await executeHttp(config, { mode: 'sync', signal, network: grant.network, isLive: grant.isLive })
    if (result.error !== null && !isAnswer(result.error)) throw new Error(result.error.message)
    const { 'content-encoding': _unpacked, 'content-length': _packedLength, ...headers } = result.headers
    return {
      url: request.url,
      status: result.status_code ?? 0,
      headers: Object.entries(headers),
      body: encodeBody(result.body),
    }
  }
}

/** A status that is not 2xx, with its body, is an answer like any other to whoever calls `fetch`. */
function isAnswer({ detail }: HttpError): boolean {
  return typeof detail?.['status'] === 'number' && detail['body_problem'] === undefined
}

function missingPermission(url: string): string {
  const host = URL.parse(url)?.host ?? 'the host'
  return (
    `this call may not use the network. Let the tool require net.http (\`__requires__\`), and the directive declare ` +
    `<execute resource="net" host="${host}"/> in its permissions.`
  )
}

function decodeBody(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  } catch (error) {
    throw new Error('the body of the request is not UTF-8 text, and only text can be sent.', { cause: error })
  }
}

function encodeBody(body: unknown): Uint8Array | null {
  if (body === null || body === undefined) return null
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}
