import { isAbsolute } from 'node:path'
import { KiwiError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../json.ts'
import { isThreadId } from '../thread-id.ts'

/**
 * One JSON object a line, both ways. A request has an `id`, and its answer is `{id, ok: true, result}` or `{id, ok: false, error}`. After
 * the answer to `watch` come `{live}` lines and, when the thread has ended, one `{end: true}`.
 */
export type HostRequest =
  | { readonly cmd: 'ping' }
  | { readonly cmd: 'status' }
  | { readonly cmd: 'stop' }
  | {
      readonly cmd: 'wake'
      readonly project_path: string
      readonly thread_id: string
      /** Of the caller; null from one that has none to give. */
      readonly environment: Readonly<Record<string, string>> | null
    }
  | {
      readonly cmd: 'announce'
      readonly project_path: string
      readonly thread_id: string
      readonly environment: Readonly<Record<string, string>>
    }
  | { readonly cmd: 'watch'; readonly project_path: string; readonly thread_id: string }

/** A request is a command, two short names and at most an environment; the system allows that about two megabytes. */
export const MAX_REQUEST_BYTES = 4_194_304
/** A live line can carry an event's payload, or a long delta. */
export const MAX_LINE_BYTES = 8_388_608

/** @throws {KiwiError} INVALID_REQUEST */
export function parseRequest(line: string): { readonly id: number; readonly request: HostRequest } {
  const message = parseObject(line)
  const { id, cmd, project_path: projectPath, thread_id: threadId } = message
  if (typeof id !== 'number') throw invalid('`id` is not a number')
  if (cmd === 'ping' || cmd === 'status' || cmd === 'stop') return { id, request: { cmd } }
  if (cmd !== 'wake' && cmd !== 'announce' && cmd !== 'watch') {
    const shown = JSON.stringify(cmd ?? null).slice(0, 40)
    throw invalid(`\`cmd\` is ${shown}; it is ping, announce, wake, watch, status or stop`)
  }
  if (typeof projectPath !== 'string' || !isAbsolute(projectPath) || projectPath.includes('\0'))
    throw invalid('`project_path` is not an absolute path')
  if (typeof threadId !== 'string' || !isThreadId(threadId)) throw invalid('`thread_id` is not a thread id')
  const target = { project_path: projectPath, thread_id: threadId }
  if (cmd === 'watch') return { id, request: { cmd, ...target } }
  const environment = parseEnvironment(message['environment'])
  if (cmd === 'wake') return { id, request: { cmd, ...target, environment } }
  if (environment === null) throw invalid('`announce` needs an `environment`')
  return { id, request: { cmd, ...target, environment } }
}

function parseEnvironment(value: unknown): Readonly<Record<string, string>> | null {
  if (value === undefined || value === null) return null
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid('`environment` is not an object')
  const variables: Record<string, string> = Object.create(null)
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw invalid('`environment` holds a value that is not text')
    variables[name] = text
  }
  return variables
}

/** @throws {KiwiError} INVALID_REQUEST */
export function parseObject(line: string): JsonObject {
  try {
    const value: unknown = JSON.parse(line)
    // Just parsed, and neither null nor an array.
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
  } catch {
    // Said below, with the line's beginning.
  }
  throw invalid(`a line is not a JSON object: ${JSON.stringify(line.slice(0, 80))}`)
}

function invalid(what: string): KiwiError {
  return new KiwiError('INVALID_REQUEST', `The host's socket was sent a request it cannot read: ${what}.`)
}

/**
 * Splits a byte stream into lines.
 *
 * @throws {KiwiError} LIMIT_EXCEEDED as soon as a line is longer than `maxBytes`, before it is complete.
 */
export function createLineSplitter(maxBytes: number, onLine: (line: string) => void): (chunk: Buffer) => void {
  let parts: Buffer[] = []
  let held = 0
  return (chunk) => {
    let start = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const line = Buffer.concat([...parts, chunk.subarray(start, end)])
      parts = []
      held = 0
      start = end + 1
      if (line.length > maxBytes) throw tooLong(maxBytes)
      if (line.length > 0) onLine(line.toString('utf8'))
    }
    if (start === chunk.length) return
    parts.push(chunk.subarray(start))
    held += chunk.length - start
    if (held > maxBytes) throw tooLong(maxBytes)
  }
}

function tooLong(maxBytes: number): KiwiError {
  return new KiwiError('LIMIT_EXCEEDED', `A line on the host's socket is longer than ${maxBytes} bytes.`)
}
