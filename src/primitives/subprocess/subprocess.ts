import { type Grant, type Sandbox, SandboxError, type SandboxMode, type SandboxReport } from '../sandbox/contract.ts'
import { DEFAULT_LIMITS } from '../sandbox/limits.ts'
import { fieldsOfThread, type ProcessConfig, ProcessConfigError, readProcessConfig } from './process-config.ts'
import { endFailure, type Failure, notStarted, type RunEnd, signalOf, startFailure } from './process-failure.ts'
import { type ProcessEnd, runProcess } from './run-process.ts'

/** What this primitive reads of a call; the kernel's `PrimitiveCall` fits. */
export interface SubprocessCall {
  readonly config: Readonly<Record<string, unknown>>
  /** As the caller gave them; what stands in them is no word of the tool's file. */
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly context: {
    readonly projectPath: string
    readonly signal?: AbortSignal
    /** Without one nothing of the project is there, and no network. */
    readonly __grant?: Grant
  }
}

/** What a process gave back. `stdout` and `stderr` are beginning and end when they were longer than the cap; the byte counts are of everything. */
export interface SubprocessResult {
  readonly exit_code: number | null
  /** Of the exit code too, where a shell or the sandbox tells a signal as 128 + its number. */
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly stdout_bytes: number
  readonly stderr_bytes: number
  readonly stdout_truncated: boolean
  readonly stderr_truncated: boolean
  readonly duration_ms: number
  readonly sandbox: SandboxMode
  /** Names that no command may make (`.git`, `.env`, …), and what they are called now. */
  readonly moved_aside?: SandboxReport['movedAside']
  /** Hosts that the command asked for and is not granted. */
  readonly denied_hosts?: readonly string[]
}

export interface SubprocessOutcome {
  readonly value: SubprocessResult | null
  readonly error: Failure | null
  readonly sandbox?: SandboxMode
}

export interface SubprocessOptions {
  readonly sandbox: Sandbox
  /** Reads the host's environment, from which only the names of `env_allow` are copied to the process. */
  readonly env: (name: string) => string | undefined
}

/**
 * The `subprocess` primitive: one command in the sandbox, with what its grant gives it. Anything but exit code 0 is an error beside the
 * result: PROCESS_FAILED, TIMEOUT, LIMIT_EXCEEDED or ABORTED; CONFIG_VALIDATION_ERROR and SANDBOX_UNAVAILABLE when nothing was started.
 */
export function createSubprocessPrimitive({ sandbox, env }: SubprocessOptions): {
  readonly id: 'subprocess'
  execute(call: SubprocessCall): Promise<SubprocessOutcome>
} {
  return {
    id: 'subprocess',
    async execute({ config: raw, parameters = {}, context }) {
      try {
        const { projectPath, __grant: grant } = context
        const saidByThread = fieldsOfThread(parameters, grant)
        const config = await readProcessConfig(raw, { projectPath, env, mode: sandbox.mode, saidByThread })
        if (context.signal?.aborted === true || context.__grant?.isLive() === false)
          return { value: null, error: notStarted('ABORTED', `${config.command} was cancelled before it began.`) }
        return await runInSandbox(sandbox, config, context)
      } catch (error) {
        if (error instanceof ProcessConfigError)
          return { value: null, error: notStarted('CONFIG_VALIDATION_ERROR', error.message) }
        if (error instanceof SandboxError) return { value: null, error: notStarted(error.code, error.message) }
        throw error
      }
    },
  }
}

async function runInSandbox(
  sandbox: Sandbox,
  config: ProcessConfig,
  { projectPath, signal, __grant: grant }: SubprocessCall['context'],
): Promise<SubprocessOutcome> {
  const { command, args, cwd, env, limits } = config
  const wrapped = await sandbox.wrap({ grant, projectPath, command, args, cwd, env, limits, signal })
  const startedMs = performance.now()
  const maxProcesses = limits.processes ?? DEFAULT_LIMITS.processes
  let end: ProcessEnd
  let report: SandboxReport
  try {
    end = await runProcess(
      {
        ...config,
        ...wrapped,
        args: [...wrapped.args],
        watch: () => ((wrapped.processCount() ?? 0) > maxProcesses ? 'processes' : null),
      },
      signal,
    )
  } finally {
    report = await wrapped.dispose()
  }
  const { mode } = wrapped
  if (end.startError !== null) return { value: null, error: startFailure(command, end.startError), sandbox: mode }
  const run: RunEnd = { ...end, signal: signalOf(end, mode), report }
  const value = toResult(run, { durationMs: performance.now() - startedMs, sandbox: mode })
  return { value, error: endFailure(config, run), sandbox: mode }
}

function toResult(
  { exitCode, signal, stdout, stderr, report }: RunEnd,
  { durationMs, sandbox }: { readonly durationMs: number; readonly sandbox: SandboxMode },
): SubprocessResult {
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
    sandbox,
    ...(report.movedAside.length === 0 ? {} : { moved_aside: report.movedAside }),
    ...(report.deniedHosts.length === 0 ? {} : { denied_hosts: report.deniedHosts }),
  }
}
