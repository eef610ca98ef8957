import type { RequestId } from '@modelcontextprotocol/server'

/** The ids of the requests in a body: one message or a batch, from anybody. What is no request is passed over. */
export function requestIdsOf(body: unknown): readonly RequestId[] {
  return messagesOf(body).flatMap(({ id, method }) =>
    typeof method === 'string' && (typeof id === 'string' || typeof id === 'number') ? [id] : [],
  )
}

/** The request that a body of one notification cancels. */
export function cancelledIdOf(body: unknown): RequestId | undefined {
  const [message, ...more] = messagesOf(body)
  if (more.length > 0 || message?.['method'] !== 'notifications/cancelled' || !isObject(message['params'])) return undefined
  const id = message['params']['requestId']
  return typeof id === 'string' || typeof id === 'number' ? id : undefined
}

/** The method of a body that is one message. */
export function methodOf(body: unknown): unknown {
  return isObject(body) ? body['method'] : undefined
}

function messagesOf(body: unknown): readonly Readonly<Record<string, unknown>>[] {
  return (Array.isArray(body) ? body : [body]).filter(isObject)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
