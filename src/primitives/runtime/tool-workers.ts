/**
 * Tools of projects and users, each in a process of its own (see worker/worker.ts), inside the sandbox.
 */
import { join } from 'node:path'
import type { Sink, StreamEvent } from '../http-client/contract.ts'
import { type Grant, type Sandbox, SandboxError } from '../sandbox/contract.ts'
import { failure, type RuntimeOutcome, type RuntimeTool, type ToolFetch } from './contract.ts'
import { explainDenial } from './access-denial.ts'
import { identityOf } from './tool-identity.ts'
import { createViewFingerprints } from './view-fingerprint.ts'
import { layOut, PROJECT_INSIDE } from './worker-layout.ts'
import { createWorkerPool, type PoolRequest } from './worker-pool.ts'
import type { Thrown } from './worker/messages.ts'
import { startWorker, type WorkerFailure, type WorkerProcess } from './worker-process.ts'

export interface ToolWorkersOptions {
  readonly sandbox: Sandbox
  /** What a tool under this grant may fetch. */
  readonly fetchFor: (grant: Grant) => ToolFetch
  /** The user space; null where tools of users do not occur. */
  readonly userSpace: string | null
  readonly maxWorkers: number
  readonly idleMs: number
}

export interface ToolCall {
  readonly tool: RuntimeTool
  readonly projectPath: string
  readonly grant: Grant | undefined
  readonly signal: AbortSignal | undefined
}

export interface ToolWorkers {
  run(call: ToolCall, parameters: unknown, timeoutMs: number): Promise<RuntimeOutcome>
  /** A sink in a worker of its own, until it is closed. @throws {Error} with the reason when it cannot be opened. */
  openSink(call: ToolCall, options: unknown): Promise<Sink>
  close(): Promise<void>
}

/** Reaches nothing: what a call without a grant gets. */
const NO_GRANT: Grant = { id: 'none', threadId: null, read: [], write: [], network: { kind: 'none' }, isLive: () => true }
/** Far beyond a start on a busy machine; a tool that has not loaded by then waits for something at its top level. */
const LOAD_TIMEOUT_MS = 20_000
const SINK_TIMEOUT_MS = 30_000
/** Shorter than a stream waits for its sinks to close. */
const SINK_CLOSE_TIMEOUT_MS = 4_000
/** Each is a process. */
const MAX_SINKS = 32
/** A worker lives for many calls. */
const LIMITS = { cpuSeconds: 3_600 }
/** In place of what a command of a shell would be given; the worker drops even this before it loads a tool. */
const ENVIRONMENT = { PATH: '/usr/bin:/bin', HOME: '/tmp' }

export function createToolWorkers(options: ToolWorkersOptions): ToolWorkers {
  const { sandbox } = options
  const pool = createWorkerPool(options)
  const sinks = new Set<WorkerProcess>()
  const views = createViewFingerprints()
  const viewOf = async ({ grant, projectPath }: ToolCall): Promise<string> =>
    sandbox.mode === 'none' ? '' : await views.of(grant, projectPath)

  const start = async (call: ToolCall): Promise<WorkerProcess> => {
    const grant = call.grant ?? NO_GRANT
    const { tool, projectPath } = call
    const spaceRoot = tool.space === 'user' ? (options.userSpace ?? '') : join(projectPath, '.ai')
    const layout = layOut({ tool, grant, projectPath, spaceRoot, mode: sandbox.mode })
    const { command, args, mounts } = layout
    const wrapped = await sandbox.wrap({
      grant: call.grant,
      projectPath,
      command,
      args,
      env: ENVIRONMENT,
      extraReadOnly: mounts,
      network: 'none',
      limits: LIMITS,
      signal: call.signal,
    })
    const worker = startWorker({ wrapped, projectPath: layout.projectPath, fetch: options.fetchFor(grant) })
    const loaded = await worker.load(layout.load, { timeoutMs: LOAD_TIMEOUT_MS, signal: call.signal })
    if (loaded.kind === 'loaded' && loaded.callable) return worker
    const reason =
      loaded.kind === 'loaded' ? new LoadError(noFunction(tool.id)) : new LoadError(await loadFailure(tool.id, loaded, worker))
    worker.kill('its tool cannot be called')
    throw reason
  }

  return {
    async run(call, parameters, timeoutMs) {
      const { id } = call.tool
      const { mode } = sandbox
      try {
        const view = await viewOf(call)
        const request: PoolRequest = {
          key: JSON.stringify([(call.grant ?? NO_GRANT).id, identityOf(call.tool), call.projectPath, mode, view]),
          start: async () => await start(call),
          timeoutMs,
          signal: call.signal,
        }
        return await pool.use(request, async (worker) => {
          const answer = await worker.call('run', parameters, { timeoutMs, signal: call.signal })
          if (call.grant !== undefined && call.grant.write.length > 0 && (await viewOf(call)) !== view) {
            // Its end takes away what the tool made under a closed name, before anybody acts on the result.
            worker.kill('what it was shown has changed')
            await worker.gone
          }
          if (answer.kind === 'value') return { value: answer.value, error: null, sandbox: mode }
          return { ...(await callFailure(id, answer, { worker, timeoutMs })), sandbox: mode }
        })
      } catch (error) {
        return { ...startFailure(id, error, timeoutMs), sandbox: mode }
      }
    },

    async openSink(call, sinkOptions) {
      const { id } = call.tool
      if (sinks.size >= MAX_SINKS) throw new Error(`The sink "${id}" was not opened: ${MAX_SINKS} sinks are open already.`)
      const worker = await start(call).catch((error: unknown) => {
        throw new Error(wordsOf(startFailure(id, error, LOAD_TIMEOUT_MS)), { cause: error })
      })
      sinks.add(worker)
      void worker.gone.finally(() => sinks.delete(worker))
      const opened = await worker.call('open', sinkOptions, { timeoutMs: SINK_TIMEOUT_MS, signal: call.signal })
      if (opened.kind !== 'value') {
        const reason = await callFailure(id, opened, { worker, timeoutMs: SINK_TIMEOUT_MS })
        worker.kill('its sink was not opened')
        throw new Error(wordsOf(reason))
      }
      return sinkOf(worker, call)
    },

    async close() {
      for (const worker of sinks) worker.kill('the host is ending')
      await Promise.all([pool.close(), ...[...sinks].map(async (worker) => await worker.gone)])
    },
  }
}

/** A tool that cannot be called: the outcome says why. */
class LoadError extends Error {
  override readonly name = 'LoadError'
  readonly outcome: RuntimeOutcome

  constructor(outcome: RuntimeOutcome) {
    super(outcome.error?.message)
    this.outcome = outcome
  }
}

function sinkOf(worker: WorkerProcess, { tool: { id }, signal }: ToolCall): Sink {
  const onAbort = (): void => worker.abortSink('The stream was cancelled.')
  signal?.addEventListener('abort', onAbort, { once: true })
  const ask = async (action: 'write' | 'close', input: unknown, timeoutMs: number): Promise<void> => {
    const answer = await worker.call(action, input, { timeoutMs })
    if (answer.kind === 'value') return
    throw new Error(wordsOf(await callFailure(id, answer, { worker, timeoutMs })))
  }
  return {
    write: async ({ event, data, id: eventId }: StreamEvent) => await ask('write', { event, data, id: eventId }, SINK_TIMEOUT_MS),
    async close() {
      signal?.removeEventListener('abort', onAbort)
      try {
        await ask('close', null, SINK_CLOSE_TIMEOUT_MS)
      } finally {
        worker.kill('its sink was closed')
      }
    },
  }
}

function startFailure(id: string, error: unknown, timeoutMs: number): RuntimeOutcome {
  if (error instanceof LoadError) return error.outcome
  if (error instanceof SandboxError) return failure(error.code, `"${id}" was not run: ${error.message}`)
  if (error instanceof DOMException && error.name === 'AbortError')
    return failure('ABORTED', `"${id}" was cancelled before it began.`)
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    const message = `"${id}" found no free worker within ${timeoutMs} ms: all were busy with other calls.`
    return failure('TIMEOUT', message, { timeout_ms: timeoutMs })
  }
  const reason = error instanceof Error ? error.message : String(error)
  return failure('EXECUTION_FAILED', `The worker of "${id}" could not be started: ${reason}`)
}

function noFunction(id: string): RuntimeOutcome {
  return failure('CONFIG_VALIDATION_ERROR', `"${id}" has no default export that is a function (params, context) => result.`)
}

async function loadFailure(id: string, answer: WorkerFailure, worker: WorkerProcess): Promise<RuntimeOutcome> {
  if (answer.kind === 'failed') {
    return await thrownFailure(answer, worker, 'it cannot be loaded: ')
  }
  return await callFailure(id, answer, { worker, timeoutMs: LOAD_TIMEOUT_MS })
}

async function callFailure(
  id: string,
  answer: WorkerFailure,
  { worker, timeoutMs }: { readonly worker: WorkerProcess; readonly timeoutMs: number },
): Promise<RuntimeOutcome> {
  switch (answer.kind) {
    case 'failed':
      return await thrownFailure(answer, worker, '')
    case 'unserialisable':
      return failure(
        'EXECUTION_FAILED',
        `The result of "${id}" is not JSON: ${answer.message}. Return plain objects, lists, strings, finite numbers, booleans and null.`,
      )
    case 'ended':
      await worker.gone
      return failure('EXECUTION_FAILED', `The worker of "${id}" is gone: ${answer.message}.`, await printed(worker))
    case 'timeout':
      return failure('TIMEOUT', `"${id}" did not finish within ${timeoutMs} ms.`, {
        timeout_ms: timeoutMs,
        ...(await printed(worker)),
      })
    case 'aborted':
      return failure('ABORTED', `"${id}" was cancelled.`)
  }
}

async function thrownFailure({ name, message, denial }: Thrown, worker: WorkerProcess, when: string): Promise<RuntimeOutcome> {
  const explained = denial === null ? null : explainDenial(denial, worker.projectPath)
  const said = explained === null ? `${name}: ${message}` : explained.message
  const { value, error } = failure('EXECUTION_FAILED', relativeText(`${when}${said}`), await printed(worker))
  return { value, error: error === null || explained === null ? error : { ...error, suggestion: explained.suggestion } }
}

/** What an error of a sink, which is a message alone, says. */
function wordsOf({ error }: RuntimeOutcome): string | undefined {
  return error?.suggestion === undefined ? error?.message : `${error.message} ${error.suggestion}`
}

/** What the tool printed was written before its answer, but comes by another pipe: after one more look at the pipes it is here. */
async function printed(worker: WorkerProcess): Promise<Readonly<Record<string, unknown>> | undefined> {
  await new Promise((resolve) => setImmediate(resolve))
  const text = worker.output()
  return text === '' ? undefined : { tool_output: relativeText(text) }
}

/** Paths below the project as its users write them. */
function relativeText(text: string): string {
  const name = PROJECT_INSIDE.slice(1)
  return text
    .replaceAll(new RegExp(`(?<![\\w./-])/${name}/`, 'g'), '')
    .replaceAll(new RegExp(`(?<![\\w./-])/${name}(?![\\w-])`, 'g'), '.')
}
