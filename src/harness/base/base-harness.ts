/**
 * `kiwi-mcp/base-harness`: a model, tools and a loop, and nothing else. It knows no directive, token, budget or registry; whatever opinion a
 * harness has stands on top of it.
 */
import { runLoop } from './agent-loop.ts'
import type { HarnessEvent, HarnessLimits, LoopOptions, RunResult } from './agent-loop.ts'
import type { Message, ToolSpec, WireName } from './conversation.ts'
import type { CallModel } from './model-call.ts'
import type { CallTool, Step } from './turn.ts'
import { wireByName } from './wires/known-wires.ts'
import { assertToolNames } from './wires/tool-names.ts'
import type { LiveDelta } from './wires/wire.ts'

export interface BaseHarnessOptions {
  readonly wire: WireName
  readonly model: string
  /** Default: none. */
  readonly system?: string
  /** Default: none. */
  readonly tools?: readonly ToolSpec[]
  /** `createModelCaller(…).callModel`, or your own. */
  readonly callModel: CallModel
  /** Default answers every call with an error, for a harness without tools. */
  readonly callTool?: CallTool
  readonly limits: HarnessLimits
  /** A conversation to go on with; it is copied. */
  readonly messages?: readonly Message[]
  readonly onDelta?: (delta: LiveDelta) => void
  readonly onEvent?: (event: HarnessEvent) => void
  readonly step?: Step
}

export interface BaseHarness {
  /**
   * Adds a user message and runs until the model has no more calls or a limit is reached. The conversation stays for the next `run`.
   * It resolves for everything a model, a server or a limit does; a rejection of `callTool` is passed on.
   *
   * @throws {TypeError} while another run of this harness is going on.
   */
  run(message: string, options?: { readonly signal?: AbortSignal }): Promise<RunResult>
  messages(): readonly Message[]
}

/**
 * A conversation with a model and its tools.
 *
 * @throws {TypeError} for an unknown wire, a bad tool name, or a `maxTurns` that is not a positive integer.
 */
export function createBaseHarness(options: BaseHarnessOptions): BaseHarness {
  const { limits } = options
  if (!Number.isInteger(limits.maxTurns) || limits.maxTurns < 1) {
    throw new TypeError(`Expected \`limits.maxTurns\` to be a positive integer, got ${limits.maxTurns}.`)
  }
  const loop = resolveOptions(options)
  const messages: Message[] = [...(options.messages ?? [])]
  let running = false
  return {
    run: async (message, { signal } = {}) => {
      if (running) throw new TypeError('This harness is already running; wait for its result, or create another one.')
      running = true
      try {
        messages.push({ role: 'user', content: message })
        return await runLoop(loop, messages, signal ?? new AbortController().signal)
      } finally {
        running = false
      }
    },
    messages: () => [...messages],
  }
}

function resolveOptions(options: BaseHarnessOptions): LoopOptions {
  const tools = options.tools ?? []
  assertToolNames(tools)
  return {
    wire: wireByName(options.wire),
    model: options.model,
    system: options.system ?? '',
    tools,
    callModel: options.callModel,
    callTool: options.callTool ?? refuseCall,
    limits: options.limits,
    ...(options.onDelta === undefined ? {} : { onDelta: options.onDelta }),
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
    ...(options.step === undefined ? {} : { step: options.step }),
  }
}

const refuseCall: CallTool = (call) => Promise.resolve({ content: `There is no tool named ${call.name}.`, is_error: true })

export { createModelCaller } from './model-caller.ts'
export type { ModelCaller, ModelCallerOptions } from './model-caller.ts'
export type { HarnessEvent, HarnessLimits, RunEnd, RunResult } from './agent-loop.ts'
export { foldModelCall } from './model-call.ts'
export type { CallModel, FoldOptions, Incomplete, ModelCallError, ModelCallResult, ModelOutcome } from './model-call.ts'
export { runToolCalls } from './tool-calls.ts'
export type { RunToolCall, RunToolCallsOptions } from './tool-calls.ts'
export { invalidCallResult, runModelTurn } from './turn.ts'
export type { CallTool, Step, ToolResult, TurnDeps, TurnOutcome } from './turn.ts'
export { wireByName } from './wires/known-wires.ts'
export type { Fold, LiveDelta, ModelRequest, Wire } from './wires/wire.ts'
export type {
  AssistantTurn,
  Message,
  PartialCall,
  StopReason,
  ToolCall,
  ToolSpec,
  TurnBlock,
  Usage,
  WireName,
} from './conversation.ts'
export type { Json, JsonObject } from '../../json.ts'
export type { Sink, StreamEvent } from '../../primitives/http-client/contract.ts'
