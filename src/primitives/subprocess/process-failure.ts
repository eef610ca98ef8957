import { constants } from 'node:os'
import type { SandboxMode, SandboxReport } from '../sandbox/contract.ts'
import { codeOf } from '../files/system-error.ts'
import type { ProcessConfig } from './process-config.ts'
import type { ProcessEnd } from './run-process.ts'

export interface Failure {
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly detail?: Readonly<Record<string, unknown>>
}

/** The end of a process together with what its sandbox reports. */
export interface RunEnd extends ProcessEnd {
  readonly report: SandboxReport
}

/** A shell and the sandbox tell a signal as 128 + its number. */
export function signalOf(
  { exitCode, signal }: { readonly exitCode: number | null; readonly signal: string | null },
  mode: SandboxMode,
): string | null {
  if (signal !== null || mode === 'none') return signal
  const number = (exitCode ?? 0) - 128
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? null
}

/** Why nothing was started. */
export function notStarted(code: string, message: string): Failure {
  return { code, message, retryable: false }
}

export function startFailure(command: string, error: Error): Failure {
  return notStarted('PROCESS_FAILED', `${command} could not be started: ${reasonOf(codeOf(error)) ?? error.message}.`)
}

/** Null for a process that ended well. */
export function endFailure({ command, timeoutMs, limits }: ProcessConfig, run: RunEnd): Failure | null {
  const { exitCode, signal, stoppedBy } = run
  switch (stoppedBy) {
    case 'timeout':
      return {
        code: 'TIMEOUT',
        message: `${command} did not finish within ${timeoutMs} ms and was killed with everything it had started.`,
        retryable: false,
        detail: { timeout_ms: timeoutMs },
      }
    case 'abort':
      return notStarted('ABORTED', `${command} was cancelled and killed with everything it had started.`)
    case 'processes':
      return {
        code: 'LIMIT_EXCEEDED',
        message: `${command} started more processes than \`limits.processes\` allows and was killed with all of them.`,
        retryable: false,
        detail: limits.processes === undefined ? {} : { processes: limits.processes },
      }
    // Reasons of a process that is spoken to; one that is run to its end has none of them.
    case 'close':
    case 'line_too_long':
    case 'too_many_lines':
    case null:
      break
  }
  if (exitCode === 0) return null
  const never = neverRan(command, { exitCode, stderr: run.stderr.text, started: run.report.started })
  if (never !== null) return never
  const meaning = signal === null ? null : SIGNAL_MEANINGS[signal]
  const how = signal === null ? `exit code ${exitCode}` : `signal ${signal}${meaning === undefined ? '' : ` (${meaning})`}`
  return {
    code: 'PROCESS_FAILED',
    message: `${command} ended with ${how}.`,
    retryable: false,
    detail: { exit_code: exitCode, signal },
  }
}

const SIGNAL_MEANINGS: Readonly<Record<string, string>> = {
  SIGXFSZ: 'it wrote a file larger than `limits.file_bytes`',
  SIGXCPU: 'it used more than `limits.cpu_seconds`',
}

/** Why the command itself never ran although its process was started; null when it did. */
export function neverRan(
  command: string,
  { exitCode, stderr, started }: { readonly exitCode: number | null; readonly stderr: string; readonly started: boolean },
): Failure | null {
  if (!started && exitCode !== null) {
    const reason = (/^(?:bwrap|prlimit): .*$/m.exec(stderr)?.[0] ?? stderr.slice(0, 300)).trim()
    const why = reason === '' ? `exit code ${exitCode} and not a word` : reason
    return notStarted('SANDBOX_UNAVAILABLE', `The sandbox of ${command} could not be set up: ${why}.`)
  }
  const missing = missingCommand(command, exitCode, stderr)
  return missing === null ? null : notStarted('PROCESS_FAILED', `${command} could not be started: ${missing}.`)
}

/** The command is started by `prlimit`, which says so when there is none; a program that says the same fools only its own caller. */
function missingCommand(command: string, exitCode: number | null, stderr: string): string | null {
  if (exitCode !== 127 && exitCode !== 126) return null
  const line = `prlimit: failed to execute ${command}: `
  if (!stderr.startsWith(line)) return null
  return reasonOf(exitCode === 127 ? 'ENOENT' : 'EACCES') ?? stderr.slice(line.length).trim()
}

function reasonOf(code: string): string | null {
  if (code === 'ENOENT') return 'there is no such command'
  return code === 'EACCES' ? 'it may not be executed' : null
}
