import type { AssistantTurn, ToolCall } from './conversation.ts'
import { foldModelCall } from './model-call.ts'
import type { CallModel, FoldOptions, Incomplete, ModelCallError, ModelOutcome } from './model-call.ts'
import { runToolCalls } from './tool-calls.ts'
import type { ModelRequest, Wire } from './wires/wire.ts'

/** What the model is told about one call. */
export interface ToolResult {
  readonly content: string
  readonly is_error: boolean
}

/** Runs one call whose arguments are a JSON object. A rejection ends the turn; a tool that failed resolves with `is_error`. */
export type CallTool<R extends ToolResult = ToolResult> = (
  call: ToolCall,
  run: { readonly signal: AbortSignal; readonly index: number },
) => Promise<R>

/** Wraps what touches the world, for a caller that journals: `model`, then `tool:<index>`. */
export type Step = <T>(name: string, kind: 'model' | 'tool', run: () => Promise<T>) => Promise<T>

export interface TurnDeps<R extends ToolResult> {
  readonly wire: Wire
  readonly callModel: CallModel
  readonly callTool: CallTool<R>
  readonly step?: Step
  /** Default 4. */
  readonly concurrency?: number
}

export type TurnOutcome<R extends ToolResult> =
  | {
      readonly kind: 'turn'
      readonly turn: AssistantTurn
      /** One for each of `turn.tool_calls`, in call order. */
      readonly results: readonly (R | ToolResult)[]
      readonly incomplete: Incomplete | null
    }
  | { readonly kind: 'failed'; readonly error: ModelCallError; readonly turn: AssistantTurn }

/**
 * One turn: a model call, then its closed tool calls. Whatever the stream did, a call runs only when it had arrived whole; one whose
 * arguments are not an object is answered with an error and does not run.
 */
export async function runModelTurn<R extends ToolResult>(
  deps: TurnDeps<R>,
  request: ModelRequest,
  options: FoldOptions = {},
): Promise<TurnOutcome<R>> {
  const step = deps.step ?? runDirectly
  const outcome = await step<ModelOutcome>('model', 'model', () => foldModelCall(deps.wire, deps.callModel, request, options))
  if (outcome.kind === 'failed') return outcome
  const { turn, incomplete } = outcome
  const results = await runToolCalls<R | ToolResult>(
    turn.tool_calls,
    (call, run) => {
      if (call.invalid !== undefined) return Promise.resolve(invalidCallResult(call))
      return step<R>(`tool:${run.index}`, 'tool', () => deps.callTool(call, run))
    },
    {
      ...(deps.concurrency === undefined ? {} : { concurrency: deps.concurrency }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    },
  )
  return { kind: 'turn', turn, results, incomplete }
}

/** The answer to a call whose arguments are not a JSON object. */
export function invalidCallResult(call: ToolCall): ToolResult {
  return { content: call.invalid ?? 'The arguments of this call are not valid.', is_error: true }
}

function runDirectly<T>(_name: string, _kind: 'model' | 'tool', run: () => Promise<T>): Promise<T> {
  return run()
}
