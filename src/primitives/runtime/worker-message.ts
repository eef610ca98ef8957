import type { Thrown, WireRequest, WorkerMessage } from './worker/messages.ts'
import { findUnserialisable } from './worker/serialisable.ts'

/** A message of a worker, or null for anything else: a tool can write to the pipe too. */
export function readWorkerMessage(value: unknown): WorkerMessage | null {
  if (!isRecord(value)) return null
  const { type, id, message } = value
  if (type === 'loaded') return typeof value['callable'] === 'boolean' ? { type, callable: value['callable'] } : null
  const thrown = readThrown(value)
  if (type === 'load_failed') return thrown === null ? null : { type, ...thrown }
  if (typeof id !== 'number' || !Number.isSafeInteger(id)) return null
  switch (type) {
    case 'result':
      return findUnserialisable(value['value']) === null ? { type, id, value: value['value'] } : null
    case 'failed':
      return thrown === null ? null : { type, id, ...thrown }
    case 'unserialisable':
      return isText(message) ? { type, id, message } : null
    case 'fetch':
      return isRequest(value['request']) ? { type, id, request: value['request'] } : null
    case 'fetch_abort':
      return { type, id }
    default:
      return null
  }
}

function readThrown({ name, message, denial }: Readonly<Record<string, unknown>>): Thrown | null {
  if (!isText(name) || !isText(message)) return null
  if (!isRecord(denial) || !isText(denial['permission']) || !isText(denial['resource'])) return { name, message, denial: null }
  return { name, message, denial: { permission: denial['permission'], resource: denial['resource'] } }
}

function isRequest(value: unknown): value is WireRequest {
  return (
    isRecord(value) &&
    isText(value['url']) &&
    isText(value['method']) &&
    Array.isArray(value['headers']) &&
    value['headers'].every((entry) => Array.isArray(entry) && entry.length === 2 && entry.every(isText)) &&
    (value['body'] === null || isText(value['body'])) &&
    typeof value['followRedirects'] === 'boolean'
  )
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
