import { type ProcessConfig, ProcessConfigError, readProcessConfig } from './process-config.ts'
import { type ProcessEnd, runProcessGroup } from './process-group.ts'

/** What this primitive reads of a call; the kernel's `PrimitiveCall` fits. */
export interface SubprocessCall {
  readonly config: Readonly<Record<string, unknown>>
  readonly context: { readonly projectPath: string; readonly signal?: AbortSignal }
}

/** What a process gave back. `stdout` and `stderr` are beginning and end when they were longer than the cap; the byte counts are of everything. */
export interface SubprocessResult {
  readonly exit_code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly stdout_bytes: number
  readonly stderr_bytes: number
  readonly stdout_truncated: boolean
  readonly stderr_truncated: boolean
  readonly duration_ms: number
}

export interface SubprocessOutcome {
  readonly value: SubprocessResult | null
  readonly error: {
    readonly code: string
    readonly message: string
    readonly retryable: boolean
    readonly detail?: Readonly<Record<string, unknown>>
  } | null
}

/**
 * The `subprocess` primitive. Anything but exit code 0 is an error beside the result: PROCESS_FAILED, TIMEOUT or ABORTED;
 * CONFIG_VALIDATION_ERROR when nothing was started.
 *
 * @param env Reads the host's environment, from which only the names of `env_allow` are copied to the process.
 */
export function createSubprocessPrimitive(env: (name: string) => string | undefined = (name) => process.env[name]): {
  readonly id: 'subprocess'
  execute(call: SubprocessCall): Promise<SubprocessOutcome>
} {
  return {
    id: 'subprocess',
    async execute({ config: raw, context }) {
      let config: ProcessConfig
      try {
        config = await readProcessConfig(raw, { projectPath: context.projectPath, env })
      } catch (error) {
        if (error instanceof ProcessConfigError)
          return { value: null, error: { code: 'CONFIG_VALIDATION_ERROR', message: error.message, retryable: false } }
        throw error
      }
      if (context.signal?.aborted === true) {
        return {
          value: null,
          error: { code: 'ABORTED', message: `${config.command} was cancelled before it began.`, retryable: false },
        }
      }
      const startedMs = performance.now()
      const end = await runProcessGroup(config, context.signal)
      if (end.startError !== null) return { value: null, error: startFailure(config, end.startError) }
      return { value: toResult(end, performance.now() - startedMs), error: endFailure(config, end) }
    },
  }
}

function toResult({ exitCode, signal, stdout, stderr }: ProcessEnd, durationMs: number): SubprocessResult {
  return {
    exit_code: exitCode,
    signal,
    stdout: stdout.text,
    stderr: stderr.text,
    stdout_bytes: stdout.bytes,
    stderr_bytes: stderr.bytes,
    stdout_truncated: stdout.truncated,
    stderr_truncated: stderr.truncated,
    duration_ms: Math.round(durationMs),
  }
}

function startFailure({ command }: ProcessConfig, error: Error & { code?: string }): SubprocessOutcome['error'] {
  const reason =
    error.code === 'ENOENT' ? 'there is no such command' : error.code === 'EACCES' ? 'it may not be executed' : error.message
  return { code: 'PROCESS_FAILED', message: `${command} could not be started: ${reason}.`, retryable: false }
}

function endFailure(
  { command, timeoutMs }: ProcessConfig,
  { exitCode, signal, stoppedBy }: ProcessEnd,
): SubprocessOutcome['error'] {
  if (stoppedBy === 'timeout') {
    return {
      code: 'TIMEOUT',
      message: `${command} did not finish within ${timeoutMs} ms and was killed with its group.`,
      retryable: false,
      detail: { timeout_ms: timeoutMs },
    }
  }
  if (stoppedBy === 'abort')
    return { code: 'ABORTED', message: `${command} was cancelled and killed with its group.`, retryable: false }
  if (exitCode === 0) return null
  const how = signal === null ? `exit code ${exitCode}` : `signal ${signal}`
  return {
    code: 'PROCESS_FAILED',
    message: `${command} ended with ${how}.`,
    retryable: false,
    detail: { exit_code: exitCode, signal },
  }
}
