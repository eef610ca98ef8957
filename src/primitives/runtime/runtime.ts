/**
 * The `node` primitive: runs one verified runtime tool in this process.
 *
 * R1. What runs are the bytes of the call, never the file as it is now (see verified-module.ts).
 * R2. A tool that is late or cancelled is not waited for: its signal is aborted and the call ends.
 * R3. Only shipped tools get the caller's services and identity; any other tool gets the project folder and a signal.
 */
import { findUnserialisable } from './serialisable.ts'
import { importVerified } from './verified-module.ts'

/** What this primitive reads of a call; the kernel's `PrimitiveCall` fits. */
export interface RuntimeCall {
  readonly config: Readonly<Record<string, unknown>>
  readonly parameters: Readonly<Record<string, unknown>>
  readonly context: RuntimeContext
  readonly runtimeTool?: RuntimeTool
}

export interface RuntimeTool {
  readonly id: string
  readonly path: string
  readonly space: 'project' | 'user' | 'system'
  /** The file's bytes as they were when its signature was checked. */
  readonly bytes: Uint8Array
}

/** What a tool is given beside its parameters. */
export interface RuntimeContext {
  readonly projectPath: string
  readonly signal?: AbortSignal
  /** In-process sinks are for the stream of a call, never for a tool. Fields that are not named here are passed on to shipped tools. */
  readonly __sinks?: unknown
}

export interface RuntimeOutcome {
  readonly value: unknown
  readonly error: {
    readonly code: string
    readonly message: string
    readonly retryable: boolean
    readonly detail?: Readonly<Record<string, unknown>>
  } | null
}

type ToolFunction = (parameters: Readonly<Record<string, unknown>>, context: RuntimeContext) => unknown

const DEFAULT_TIMEOUT_MS = 60_000
/** setTimeout fires at once beyond this. */
const MAX_TIMEOUT_MS = 2_147_483_647

/**
 * `execute` resolves with the tool's result; what the tool throws is thrown on unchanged. A missing default export, a late tool
 * (TIMEOUT, `config.timeout_ms`, default 60,000), a cancelled one (ABORTED) and a result that is not JSON are outcomes with an error.
 */
export function createRuntimePrimitive(): { readonly id: 'node'; execute(call: RuntimeCall): Promise<RuntimeOutcome> } {
  return {
    id: 'node',
    async execute({ config, parameters, context, runtimeTool }) {
      if (runtimeTool === undefined)
        return failure('CONFIG_VALIDATION_ERROR', 'The node primitive runs runtime tools; execute the tool itself.')
      if (context.signal?.aborted === true) return failure('ABORTED', `"${runtimeTool.id}" was cancelled before it began.`)
      const module = await importVerified(runtimeTool)
      const run = module['default']
      if (!isToolFunction(run)) {
        return failure(
          'CONFIG_VALIDATION_ERROR',
          `"${runtimeTool.id}" has no default export that is a function (params, context) => result.`,
        )
      }
      const timeoutMs = Math.min(
        typeof config['timeout_ms'] === 'number' ? config['timeout_ms'] : DEFAULT_TIMEOUT_MS,
        MAX_TIMEOUT_MS,
      )
      return await runBounded((signal) => run(parameters, visibleContext(context, runtimeTool, signal)), {
        timeoutMs,
        id: runtimeTool.id,
        signal: context.signal,
      })
    },
  }
}

function visibleContext(context: RuntimeContext, tool: RuntimeTool, signal: AbortSignal): RuntimeContext {
  const { __sinks: _sinks, ...shipped } = context
  // R3
  return tool.space === 'system' ? { ...shipped, signal } : { projectPath: context.projectPath, signal }
}

interface Bounds {
  readonly id: string
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

async function runBounded(
  run: (signal: AbortSignal) => unknown,
  { id, timeoutMs, signal: outer }: Bounds,
): Promise<RuntimeOutcome> {
  const controller = new AbortController()
  const stopped = Promise.withResolvers<RuntimeOutcome>()
  const stop = (outcome: RuntimeOutcome): void => {
    // R2
    stopped.resolve(outcome)
    controller.abort(new Error(outcome.error?.message))
  }
  const onAbort = (): void => stop(failure('ABORTED', `"${id}" was cancelled.`))
  const timer = setTimeout(
    () => stop({ ...failure('TIMEOUT', `"${id}" did not finish within ${timeoutMs} ms.`, { timeout_ms: timeoutMs }) }),
    timeoutMs,
  )
  outer?.addEventListener('abort', onAbort, { once: true })
  try {
    const finished = Promise.try(run, controller.signal).then((value) => checkedResult(id, value))
    return await Promise.race([finished, stopped.promise])
  } finally {
    clearTimeout(timer)
    outer?.removeEventListener('abort', onAbort)
  }
}

function checkedResult(id: string, value: unknown): RuntimeOutcome {
  const found = findUnserialisable(value)
  if (found === null) return { value: value === undefined ? null : value, error: null }
  return failure(
    'EXECUTION_FAILED',
    `The result of "${id}" is not JSON: ${found}. Return plain objects, lists, strings, finite numbers, booleans and null.`,
  )
}

function failure(code: string, message: string, detail?: Readonly<Record<string, unknown>>): RuntimeOutcome {
  return { value: null, error: { code, message, retryable: false, ...(detail === undefined ? {} : { detail }) } }
}

function isToolFunction(value: unknown): value is ToolFunction {
  return typeof value === 'function'
}
