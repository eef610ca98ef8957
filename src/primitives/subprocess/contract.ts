import type { Grant, SandboxMode } from '../sandbox/contract.ts'

/** A process that is spoken to line by line for as long as it lives, in the same sandbox as any other command. */
export interface OpenedProcess {
  readonly mode: SandboxMode
  /** Writes one line (the line end is added). Resolves when the process took it; rejects when it is gone or the line holds a line feed. */
  write(line: string): Promise<void>
  /** Resolves once, when the process and everything in its sandbox is gone. Never rejects. */
  readonly ended: Promise<OpenedProcessEnd>
  /** Closes its input, gives it `graceMs` (default 2,000) to end, then SIGTERM, then SIGKILL for all of it. Idempotent; resolves with `ended`. */
  close(graceMs?: number): Promise<void>
}

export interface OpenedProcessEnd {
  /** Why the program itself never ran (`x could not be started: there is no such command.`); null when it did. */
  readonly neverRan: string | null
  readonly exitCode: number | null
  readonly signal: string | null
  /** Beginning and end of what it wrote to stderr; at most 8 KiB. */
  readonly stderr: string
  /** Why we ended it; null when it ended by itself. */
  readonly endedBy: 'close' | 'abort' | 'line_too_long' | 'too_many_lines' | 'processes' | null
  /** Names that no command may make, and what they are called now. */
  readonly movedAside: readonly { readonly from: string; readonly to: string }[]
  readonly deniedHosts: readonly string[]
}

export interface OpenProcessRequest {
  /** `command`, `args`, `env`, `env_allow`, `cwd`, `limits` of the `subprocess` primitive; `stdin` and `timeout_ms` are not read. */
  readonly config: Readonly<Record<string, unknown>>
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly context: { readonly projectPath: string; readonly __grant?: Grant }
  /** Files and folders of the project, relative to it, that the program consists of: shown read-only whatever the grant says. */
  readonly program?: readonly string[]
  /** One line of stdout without its end. Called in order. */
  readonly onLine: (line: string) => void
  /** Bytes. A longer line ends the process before it is kept in memory whole. */
  readonly maxLineBytes: number
  /** More end the process. Default 20,000. */
  readonly maxLinesPerSecond?: number
  /** Ends the process. */
  readonly signal?: AbortSignal
}

/** Why a process could not be opened; `code` is one of the primitive's own error codes. */
export class OpenProcessError extends Error {
  override readonly name = 'OpenProcessError'
  readonly code: 'CONFIG_VALIDATION_ERROR' | 'SANDBOX_UNAVAILABLE' | 'EXECUTION_FAILED' | 'LIMIT_EXCEEDED' | 'ABORTED'

  constructor(code: OpenProcessError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** @throws {OpenProcessError} */
export type OpenProcess = (request: OpenProcessRequest) => Promise<OpenedProcess>
