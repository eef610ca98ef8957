import { KiwiError } from '../kernel/errors.ts'

/** A thread id is also a folder name; most file systems end a name at 255 bytes, and a collision suffix needs room. */
const MAX_THREAD_ID_LENGTH = 128

const THREAD_ID = /^[A-Za-z0-9_-]+$/

/** True for an id that can be joined to a path as it is. */
export function isThreadId(text: string): boolean {
  return text.length <= MAX_THREAD_ID_LENGTH && THREAD_ID.test(text)
}

/**
 * The rule of `spawn_thread`: trimmed, inner spaces become `_`, case kept; the rest must be letters, digits, `_` and `-`.
 *
 * @throws {KiwiError} INVALID_THREAD_ID with the facts received, sanitized.
 */
export function sanitizeThreadId(received: string): string {
  const sanitized = received.trim().replaceAll(' ', '_')
  if (isThreadId(sanitized)) return sanitized
  const why =
    sanitized.length > MAX_THREAD_ID_LENGTH
      ? `is ${sanitized.length} characters long`
      : sanitized === ''
        ? 'is empty'
        : 'has other characters'
  throw new KiwiError(
    'INVALID_THREAD_ID',
    `A thread id is 1 to ${MAX_THREAD_ID_LENGTH} letters, digits, "_" and "-"; this one ${why}.`,
    {
      // An id can be megabytes of anything: the facts show enough of it to recognise.
      facts: { received: received.slice(0, 256), sanitized: sanitized.slice(0, 256) },
      suggestion: 'Use an id such as "review_docs-1".',
    },
  )
}

/**
 * `<directive>_<YYYYMMDD>_<HHMMSS>` in UTC; when that is taken, `_2`, `_3`, … is added. Characters of the directive's name that no
 * thread id may have become `_`.
 */
export function makeThreadId(directive: string, nowMs: number, isTaken: (threadId: string) => boolean): string {
  const time = new Date(nowMs).toISOString()
  const stamp = `${time.slice(0, 10).replaceAll('-', '')}_${time.slice(11, 19).replaceAll(':', '')}`
  const name = directive.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, MAX_THREAD_ID_LENGTH - stamp.length - 8) || 'thread'
  const base = `${name}_${stamp}`
  let threadId = base
  for (let suffix = 2; isTaken(threadId); suffix += 1) threadId = `${base}_${suffix}`
  return threadId
}
