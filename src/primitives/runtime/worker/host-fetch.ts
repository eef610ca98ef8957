import { MAX_FETCH_BODY_BYTES, type WireRequest, type WireResponse } from './messages.ts'

export interface HostFetch {
  /** Takes the place of `globalThis.fetch`. */
  readonly fetch: typeof globalThis.fetch
  settle(id: number, response: WireResponse): void
  fail(id: number, message: string): void
}

/** `fetch` for a process without a network: the host makes the request, where and as far as the call may reach. */
export function createHostFetch(send: { request(id: number, request: WireRequest): void; abort(id: number): void }): HostFetch {
  const open = new Map<number, PromiseWithResolvers<Response>>()
  let lastId = 0
  return {
    async fetch(input, init) {
      const request = new Request(input, init)
      request.signal.throwIfAborted()
      const wire = await toWire(request)
      request.signal.throwIfAborted()
      lastId += 1
      const id = lastId
      const answered = Promise.withResolvers<Response>()
      const onAbort = (): void => {
        send.abort(id)
        answered.reject(request.signal.reason)
      }
      request.signal.addEventListener('abort', onAbort, { once: true })
      open.set(id, answered)
      send.request(id, wire)
      try {
        return await answered.promise
      } finally {
        open.delete(id)
        request.signal.removeEventListener('abort', onAbort)
      }
    },
    settle: (id, response) => open.get(id)?.resolve(toResponse(response)),
    fail: (id, message) => open.get(id)?.reject(new TypeError(`fetch failed: ${message}`)),
  }
}

async function toWire(request: Request): Promise<WireRequest> {
  const body = request.body === null ? null : Buffer.from(await request.arrayBuffer())
  if (body !== null && body.length > MAX_FETCH_BODY_BYTES)
    throw new TypeError(`fetch failed: the body is ${body.length} bytes long, ${MAX_FETCH_BODY_BYTES} are the most.`)
  return {
    url: request.url,
    method: request.method,
    headers: [...request.headers],
    body: body === null ? null : body.toString('base64'),
    followRedirects: request.redirect === 'follow',
  }
}

/** Statuses that the constructor of Response accepts no body for. */
const WITHOUT_BODY = new Set([101, 204, 205, 304])

function toResponse({ url, status, headers, body }: WireResponse): Response {
  const bytes = body === null || WITHOUT_BODY.has(status) ? null : Buffer.from(body, 'base64')
  const response = new Response(bytes, { status, headers: headers.map(([name, value]) => [name, value]) })
  Object.defineProperty(response, 'url', { value: url })
  return response
}
