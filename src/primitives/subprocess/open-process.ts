/**
 * Processes that are spoken to line by line for as long as they live.
 *
 * O1. The same sandbox, environment and limits as a command that is run to its end.
 * O2. Of what the process writes, at most one line and one chunk are kept, and of its stderr beginning and end.
 * O3. However it ends, everything in its sandbox is gone and the sandbox is disposed of, once, before `ended` resolves.
 */
import { ConfinedPathError, parseRelativePath } from '../files/relative-path.ts'
import { type Sandbox, SandboxError, type SandboxReport, type WrappedCommand } from '../sandbox/contract.ts'
import { DEFAULT_LIMITS } from '../sandbox/limits.ts'
import { createBoundedOutput } from './bounded-output.ts'
import {
  type OpenedProcess,
  type OpenedProcessEnd,
  type OpenProcess,
  OpenProcessError,
  type OpenProcessRequest,
} from './contract.ts'
import { createLineReader } from './line-reader.ts'
import { type CommandConfig, fieldsOfThread, ProcessConfigError, readCommandConfig } from './process-config.ts'
import { neverRan, signalOf, startFailure } from './process-failure.ts'
import { type GroupEnd, type ProcessGroup, startProcessGroup, type StopReason } from './process-group.ts'

export interface ProcessOpenerOptions {
  readonly sandbox: Sandbox
  /** Reads the host's environment, from which only the names of `env_allow` are copied to the process. */
  readonly env: (name: string) => string | undefined
}

const MAX_STDERR_BYTES = 8 * 1024
const DEFAULT_GRACE_MS = 2_000
/** Each line costs its reader; an answer in a message per line has nowhere near so many. */
const DEFAULT_LINES_PER_SECOND = 20_000

/** Opens processes in `sandbox`. A grant that is no longer live ends them like an abort. */
export function createProcessOpener({ sandbox, env }: ProcessOpenerOptions): OpenProcess {
  return async (request) => {
    const { projectPath, __grant: grant } = request.context
    try {
      const saidByThread = fieldsOfThread(request.parameters ?? {}, grant)
      const config = await readCommandConfig(request.config, { projectPath, env, mode: sandbox.mode, saidByThread })
      const program = (request.program ?? []).map(programPath)
      if (request.signal?.aborted === true || grant?.isLive() === false)
        throw new OpenProcessError('ABORTED', `${config.command} was cancelled before it began.`)
      const { command, args, cwd, limits } = config
      const { signal } = request
      const wrapped = await sandbox.wrap({ grant, projectPath, command, args, cwd, env: config.env, limits, program, signal })
      return await open(wrapped, config, request)
    } catch (error) {
      if (error instanceof ProcessConfigError) throw new OpenProcessError('CONFIG_VALIDATION_ERROR', error.message, error)
      if (error instanceof SandboxError) throw new OpenProcessError(error.code, error.message, error)
      throw error
    }
  }
}

/** What of it is closed is refused by the sandbox. @throws {ProcessConfigError} */
function programPath(path: string): readonly string[] {
  try {
    const segments = parseRelativePath(path)
    if (segments.length === 0) throw new ProcessConfigError('`program` must name files or folders of the project, not all of it.')
    return segments
  } catch (error) {
    if (error instanceof ConfinedPathError) throw new ProcessConfigError(`\`program\`: ${error.message}`)
    throw error
  }
}

async function open(wrapped: WrappedCommand, config: CommandConfig, request: OpenProcessRequest): Promise<OpenedProcess> {
  const maxProcesses = config.limits.processes ?? DEFAULT_LIMITS.processes
  const watch = (): StopReason | null => {
    if (request.context.__grant?.isLive() === false) return 'abort'
    return (wrapped.processCount() ?? 0) > maxProcesses ? 'processes' : null
  }
  const group = startProcessGroup({ ...wrapped, input: 'pipe', watch })
  const stderr = createBoundedOutput(MAX_STDERR_BYTES)
  group.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
  const lines = readLines(group, request)
  const onAbort = (): void => group.stop('abort')
  request.signal?.addEventListener('abort', onAbort, { once: true })
  if (request.signal?.aborted === true) onAbort()

  const finish = async (): Promise<OpenedProcessEnd> => {
    const end = await group.ended
    request.signal?.removeEventListener('abort', onAbort)
    const report = await disposed(wrapped)
    if (end.exitCode === 0 && end.stoppedBy === null) lines.end()
    return endOf({ end, report, stderr: stderr.finish().text, wrapped, command: config.command, closing })
  }
  let closing = false
  const ended = finish()
  const startError = await group.started
  if (startError !== null) {
    await ended
    throw new OpenProcessError('EXECUTION_FAILED', startFailure(config.command, startError).message, startError)
  }
  return {
    mode: wrapped.mode,
    ended,
    write: async (line) => await writeLine(group, line),
    async close(graceMs = DEFAULT_GRACE_MS) {
      if (!closing) {
        closing = true
        group.stdin?.end()
        const late = setTimeout(() => group.stop('close'), graceMs)
        void ended.then(() => clearTimeout(late))
      }
      await ended
    },
  }
}

/** Lines of stdout, until one is too long or there are too many. */
function readLines(
  group: ProcessGroup,
  { onLine, maxLineBytes, maxLinesPerSecond = DEFAULT_LINES_PER_SECOND }: OpenProcessRequest,
): {
  /** Tells the last line, which lacks its end. */
  end(): void
} {
  const { stdout } = group
  let secondBegan = performance.now()
  let linesInSecond = 0
  let over = false
  const stopFor = (reason: StopReason): void => {
    over = true
    group.stop(reason)
    stdout?.destroy()
  }
  const reader = createLineReader(maxLineBytes, (line) => {
    if (over) return
    linesInSecond += 1
    if (linesInSecond > maxLinesPerSecond) return stopFor('too_many_lines')
    onLine(line)
  })
  stdout?.on('data', (chunk: Buffer) => {
    if (over) return
    const now = performance.now()
    if (now - secondBegan >= 1_000) {
      secondBegan = now
      linesInSecond = 0
    }
    if (!reader.push(chunk)) stopFor('line_too_long')
  })
  stdout?.on('error', () => undefined)
  return {
    end() {
      const line = over ? '' : reader.rest()
      if (line !== '') onLine(line)
    },
  }
}

async function writeLine({ stdin }: ProcessGroup, line: string): Promise<void> {
  if (line.includes('\n')) throw new TypeError('Expected one line to write to the process, got text with a line feed.')
  if (stdin === null || !stdin.writable) throw noMoreInput()
  await new Promise<void>((resolve, reject) => {
    stdin.write(`${line}\n`, (error) => (error === null || error === undefined ? resolve() : reject(noMoreInput(error))))
  })
}

function noMoreInput(cause?: unknown): OpenProcessError {
  return new OpenProcessError('EXECUTION_FAILED', 'The process takes no more input: it has ended, or closed its input.', cause)
}

const NO_REPORT: SandboxReport = { started: true, movedAside: [], deniedHosts: [] }

async function disposed(wrapped: WrappedCommand): Promise<SandboxReport> {
  // What a sandbox leaves behind does not change how its process ended.
  return await wrapped.dispose().catch(() => NO_REPORT)
}

interface EndParts {
  readonly command: string
  readonly end: GroupEnd
  readonly report: SandboxReport
  readonly stderr: string
  readonly wrapped: WrappedCommand
  readonly closing: boolean
}

function endOf({ command, end, report, stderr, wrapped, closing }: EndParts): OpenedProcessEnd {
  const { exitCode } = end
  const endedBy = end.stoppedBy ?? (closing ? 'close' : null)
  return {
    exitCode,
    signal: signalOf(end, wrapped.mode),
    stderr,
    // Nothing here has a timeout.
    endedBy: endedBy === 'timeout' ? null : endedBy,
    neverRan: end.stoppedBy === null ? (neverRan(command, { exitCode, stderr, started: report.started })?.message ?? null) : null,
    movedAside: report.movedAside,
    deniedHosts: report.deniedHosts,
  }
}
