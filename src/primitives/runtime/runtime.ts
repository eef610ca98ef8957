/**
 * The `node` primitive: runs one verified runtime tool.
 *
 * R1. What runs are the bytes of the call, never the file as it is now (see verified-module.ts and worker/verified-sources.ts).
 * R2. A tool that is late or cancelled is not waited for: its signal is aborted and the call ends.
 * R3. Shipped tools are part of the package: they run in this process and get the caller's services. A tool of a project or a user runs
 *     in a sandboxed process and gets the project folder, as far as the call's grant shows it, and a signal.
 */
import type { Sink } from '../http-client/contract.ts'
import type { Grant, Sandbox } from '../sandbox/contract.ts'
import { createSandbox } from '../sandbox/sandbox.ts'
import {
  failure,
  type RuntimeCall,
  type RuntimeContext,
  type RuntimeOutcome,
  type RuntimeTool,
  type ToolFetch,
} from './contract.ts'
import { createToolFetch } from './tool-fetch.ts'
import { createToolWorkers, type ToolCall } from './tool-workers.ts'
import { importVerified } from './verified-module.ts'
import { findUnserialisable } from './worker/serialisable.ts'

export interface RuntimeOptions {
  /** Default: bubblewrap, with nothing hidden beyond what it hides by itself. */
  readonly sandbox?: Sandbox
  /** Folder of the tools of space `user`, which holds their `node_modules` too. Default null: those tools find no packages. */
  readonly userSpace?: string | null
  /** What a tool's `fetch` reaches under a grant. Default: what the grant's network says, by the HTTP client. */
  readonly fetchFor?: (grant: Grant) => ToolFetch
  /** Warm and busy workers together. Default 8. */
  readonly maxWorkers?: number
  /** How long a worker waits for its next call. Default 30,000. */
  readonly idleMs?: number
}

/** A sink tool and what it is made for. */
export interface SinkRequest {
  readonly tool: RuntimeTool
  readonly options: Readonly<Record<string, unknown>>
  readonly context: RuntimeContext
}

export interface RuntimePrimitive {
  readonly id: 'node'
  /**
   * Resolves with the tool's result. What a shipped tool throws is thrown on unchanged; everything else that goes wrong is an outcome:
   * TIMEOUT (`config.timeout_ms`, default 60,000), ABORTED, EXECUTION_FAILED (`detail.tool_output` is what the tool printed),
   * SANDBOX_UNAVAILABLE, CONFIG_VALIDATION_ERROR. Starting a worker is not part of a tool's time.
   */
  execute(call: RuntimeCall): Promise<RuntimeOutcome>
  /**
   * Makes the sink of a stream in a worker of its own, which lives until the sink is closed. For tools of projects and users.
   *
   * @throws {Error} with the reason, when there is no sandbox or the factory throws.
   */
  readonly openSink: (request: SinkRequest) => Promise<Sink>
  /** Ends all workers, busy ones too. Resolves when they are gone. */
  close(): Promise<void>
}

type ToolFunction = (parameters: Readonly<Record<string, unknown>>, context: RuntimeContext) => unknown

const DEFAULT_TIMEOUT_MS = 60_000
/** setTimeout fires at once beyond this. */
const MAX_TIMEOUT_MS = 2_147_483_647

/** Workers are started when they are needed; call `close` when no more calls come. */
export function createRuntimePrimitive(options: RuntimeOptions = {}): RuntimePrimitive {
  const workers = createToolWorkers({
    sandbox: options.sandbox ?? createSandbox({ mode: 'bubblewrap' }),
    fetchFor: options.fetchFor ?? createToolFetch,
    userSpace: options.userSpace ?? null,
    maxWorkers: options.maxWorkers ?? 8,
    idleMs: options.idleMs ?? 30_000,
  })
  return {
    id: 'node',
    async execute({ config, parameters, leaf, context, runtimeTool: tool }) {
      if (tool === undefined)
        return failure('CONFIG_VALIDATION_ERROR', 'The node primitive runs runtime tools; execute the tool itself.')
      if (context.signal?.aborted === true) return failure('ABORTED', `"${tool.id}" was cancelled before it began.`)
      const timeoutMs = timeoutOf(config)
      // R3
      if (tool.space === 'system')
        return await runHere(tool, { parameters, context: { ...context, __called: leaf?.id ?? tool.id }, timeoutMs })
      return await workers.run(toolCall(tool, context), parameters, timeoutMs)
    },
    openSink: async ({ tool, options: sinkOptions, context }) => await workers.openSink(toolCall(tool, context), sinkOptions),
    close: async () => await workers.close(),
  }
}

function toolCall(tool: RuntimeTool, { projectPath, __grant: grant, signal }: RuntimeContext): ToolCall {
  return { tool, projectPath, grant, signal }
}

function timeoutOf(config: RuntimeCall['config']): number {
  const given = config['timeout_ms']
  return Math.min(typeof given === 'number' ? given : DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS)
}

async function runHere(
  tool: RuntimeTool,
  {
    parameters,
    context,
    timeoutMs,
  }: { readonly parameters: RuntimeCall['parameters']; readonly context: RuntimeContext; readonly timeoutMs: number },
): Promise<RuntimeOutcome> {
  const { id } = tool
  const run = (await importVerified(tool))['default']
  if (!isToolFunction(run)) {
    return failure('CONFIG_VALIDATION_ERROR', `"${id}" has no default export that is a function (params, context) => result.`)
  }
  const { __sinks: _sinks, __grant: _grant, ...visible } = context
  return await runBounded((signal) => run(parameters, { ...visible, signal }), { id, timeoutMs, signal: context.signal })
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
    () => stop(failure('TIMEOUT', `"${id}" did not finish within ${timeoutMs} ms.`, { timeout_ms: timeoutMs })),
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

function isToolFunction(value: unknown): value is ToolFunction {
  return typeof value === 'function'
}
