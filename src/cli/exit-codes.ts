import type { ErrorCode } from '../kernel/errors.ts'
import { exitCodeOf } from '../threads/status.ts'
import type { ThreadRow } from '../threads/threads-client.ts'

/** What every verb ends with; part of the command line's contract. */
export const EXIT = { ok: 0, failed: 1, usage: 2, denied: 3, budget: 4, waiting: 5, interrupted: 130 } as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** The exit code that a thread's row stands for; null while it goes on by itself. */
export function exitCodeOfThread(row: Pick<ThreadRow, 'status' | 'end_reason' | 'wait_reason'>): ExitCode | null {
  const code = exitCodeOf(row.status, row.end_reason, row.wait_reason)
  return code === null ? null : (Object.values(EXIT).find((known) => known === code) ?? EXIT.failed)
}

/** The exit code of a verb that ended with an error envelope. */
export function exitCodeOfError(code: ErrorCode): ExitCode {
  if (code === 'PERMISSION_DENIED') return EXIT.denied
  if (code === 'BUDGET_EXCEEDED') return EXIT.budget
  if (code === 'INVALID_REQUEST') return EXIT.usage
  if (code === 'ABORTED') return EXIT.interrupted
  return EXIT.failed
}

/** The exit code of several threads: the first in the given order that is not 0. A thread that goes on counts as failed. */
export function exitCodeOfThreads(rows: readonly Pick<ThreadRow, 'status' | 'end_reason' | 'wait_reason'>[]): ExitCode {
  return rows.map((row) => exitCodeOfThread(row) ?? EXIT.failed).find((code) => code !== EXIT.ok) ?? EXIT.ok
}
