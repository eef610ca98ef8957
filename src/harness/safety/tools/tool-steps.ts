import type { Json, JsonObject } from '../../../json.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { MetaToolResult } from '../../../kernel/contract.ts'
import type { Commit, NewEvent, StepMeta, StepOptions, StepOutcome, TurnContext } from '../../../threads/engine.ts'
import type { ToolCall } from '../../base/conversation.ts'
import { runToolCalls } from '../../base/tool-calls.ts'
import { canonicalJson, hash, traceOf } from '../limits/loops.ts'
import type { CallTrace } from '../limits/loops.ts'
import { stored, summarise, toolResult } from '../turn/messages.ts'
import { secretInParameters } from '../redaction.ts'
import type { HarnessServices } from '../services.ts'
import type { ParkedCall } from '../turn/state.ts'
import type { HelpSignal, PreparedCall, RunnableCall, ToolRequests } from './tool-request.ts'
import { denialEvents, runUnderToken } from './under-token.ts'

/** What one call of a turn came to. */
export interface CallOutcome {
  readonly item: string
  /** For loop detection; null where repeating is no loop or there is no result yet. */
  readonly trace: CallTrace | null
  readonly parked: ParkedCall | null
  /** The model said how it stands. */
  readonly help: HelpSignal | null
  /** Counts against `max_tool_calls`: it ran, or may have run. */
  readonly counted: boolean
  /** It lacked a permission, so nothing ran. */
  readonly denied: boolean
  /** Why it brought no result; null for a call that did, or that has none yet. */
  readonly failure: CallFailure | null
  /** What the end of the turn must still write: answers to calls that had no step. */
  readonly commit: Commit | null
}

/** What hooks are told of a call that failed. */
export interface CallFailure {
  readonly code: string
  readonly message: string
  readonly missing: readonly string[]
}

/**
 * What a tool step leaves in the journal; the result itself is the message of the same commit. Everything that depends on the item as it
 * was stands here, because a replay may find another one in its place, or none.
 */
interface ToolFacts {
  readonly trace: CallTrace | null
  readonly park: (Pick<ParkedCall, 'untilMs' | 'wakeOnWaiting'> & { readonly for: readonly string[] }) | null
  readonly counted: boolean
  /** Absent in steps of earlier versions. */
  readonly denied?: boolean
  readonly failure?: CallFailure | null
}

export interface ToolStepsInput {
  readonly services: HarnessServices
  readonly requests: ToolRequests
  readonly ctx: TurnContext
  readonly calls: readonly ToolCall[]
  /** Calls in call order that `max_tool_calls` still allows; the others are answered and not run. */
  readonly allowed: number
  /** Until `max_duration_seconds`; null without that limit. */
  readonly millisecondsLeft: number | null
}

const TOOL_STEP_TIMEOUT_MS = 10 * 60_000
/** A call that begins gets a moment, however little time is left: what is stopped at once has an unknown outcome. */
const LEAST_STEP_TIMEOUT_MS = 1_000
const AT_ONCE = 4
const MAX_PARK_MS = 24 * 3_600_000

/** Runs the calls of a turn, at most four at a time, each as one journaled step; the outcomes stand in call order. */
export function runToolSteps(input: ToolStepsInput): Promise<readonly CallOutcome[]> {
  return runToolCalls(
    input.calls,
    async (call, { index }) => {
      const secret = secretInParameters(input.services.redactor(input.ctx.threadId), call)
      const prepared = await input.requests.prepare(call, secret)
      if (index >= input.allowed) return refusedByLimit(input.ctx, prepared)
      return runStep(input, prepared, index)
    },
    { concurrency: AT_ONCE, signal: input.ctx.signal },
  )
}

async function runStep(input: ToolStepsInput, call: PreparedCall, index: number): Promise<CallOutcome> {
  const { ctx } = input
  const outcome = await stepOrTimeout(ctx, () =>
    call.kind === 'rejected'
      ? ctx.step<Json>(stepName(call, index), { effect: 'pure', timeoutMs: TOOL_STEP_TIMEOUT_MS }, async () =>
          reject(input.services, ctx, call),
        )
      : ctx.step<Json>(stepName(call, index), runOptions(input, call), (meta) => execute(input, call, meta)),
  )
  // `refused` needs a reservation, which a tool step never makes.
  if (outcome.kind !== 'done') return unknownOutcome(ctx, call)
  // The value of this step is always ToolFacts: `execute` or `reject` wrote it.
  const { trace, park, counted, denied = false, failure = null } = outcome.value as unknown as ToolFacts
  const parked = park === null ? null : parkedCall(call, park)
  const help = call.kind === 'runnable' ? call.helpSignal : null
  return { item: call.item, trace, parked, help, counted, denied, failure, commit: null }
}

function parkedCall(call: PreparedCall, { for: waitFor, ...ends }: NonNullable<ToolFacts['park']>): ParkedCall {
  return { callId: call.call.id, tool: call.item, waitFor, ...ends }
}

function runOptions({ millisecondsLeft }: ToolStepsInput, call: RunnableCall): StepOptions {
  const left = Math.max(LEAST_STEP_TIMEOUT_MS, millisecondsLeft ?? TOOL_STEP_TIMEOUT_MS)
  return {
    effect: call.effect,
    timeoutMs: Math.min(TOOL_STEP_TIMEOUT_MS, left),
    before: { events: [callEvent(call)] },
  }
}

/** A tool that did not even answer its abort may still be at work: its outcome is as unknown as after a crash. */
async function stepOrTimeout(ctx: TurnContext, run: () => Promise<StepOutcome<Json>>): Promise<StepOutcome<Json>> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof KiwiError && error.code === 'TIMEOUT' && !ctx.signal.aborted) return { kind: 'unknown' }
    throw error
  }
}

/** Index, so that equal calls of one turn differ; inner item, so that a journal is readable. */
function stepName(call: PreparedCall, index: number): string {
  return `tool-${index}-${call.item.replaceAll(/[^A-Za-z0-9_.-]/g, '_')}`
}

async function execute(
  input: ToolStepsInput,
  call: RunnableCall,
  meta: StepMeta,
): Promise<{ readonly value: Json; readonly commit: Commit }> {
  const { ctx } = input
  const result = await runUnderToken(input, call, meta)
  // An interrupted or superseded step leaves no result; one that only ran out of time has the tool's own answer.
  if (ctx.signal.aborted) ctx.signal.throwIfAborted()
  const park = result.success ? parkOf(result['result'], ctx) : null
  const text = input.services.redactor(ctx.threadId).text(shown(result))
  const trace = call.poll || park !== null ? null : traceOf(call.item, call.parameters, hash(text))
  const denial = denialEvents(call.item, result)
  const facts: ToolFacts = {
    trace,
    park,
    counted: true,
    denied: denial.length > 0,
    failure: failureOf(input.services, ctx, result),
  }
  const told = park === null ? answer(ctx, call, text, !result.success) : {}
  const events = [...denial, ...(told.events ?? []), ...helpEvents(call)]
  const commit: Commit = { ...told, ...(events.length === 0 ? {} : { events }), usage: { tool_calls: 1 } }
  // ToolFacts holds only JSON values.
  return { value: facts as unknown as Json, commit }
}

function helpEvents({ helpSignal }: RunnableCall): readonly NewEvent[] {
  return helpSignal === null ? [] : [{ type: 'status', payload: { help: helpSignal.action, reason: helpSignal.reason } }]
}

function failureOf(services: HarnessServices, ctx: TurnContext, result: MetaToolResult): CallFailure | null {
  if (result.success) return null
  const { code, message, missing } = result.error
  // Before it is cut: half a secret is not known for one any more.
  const told = services.redactor(ctx.threadId).text(message)
  return { code, message: summarise(told), missing: Array.isArray(missing) ? missing.map(String) : [] }
}

/** What the model reads: the tool's own value, or the error. The envelope around a value says nothing that the model did not send. */
function shown(result: MetaToolResult): string {
  const { sandbox, ...told } = result
  // What a tool ran in is worth a word only where nothing held it.
  const unheld = sandbox === 'none' ? { sandbox } : {}
  if (!told.success) return JSON.stringify({ ...told, ...unheld })
  const { success: _success, item_type: _type, item_id: _id, ...facts } = told
  const { result: returned, ...beside } = facts
  const isAlone = 'result' in facts && Object.keys(beside).length === 0
  // A field among those of the tool, so that what reads them finds them where they are in a sandbox.
  const value = isAlone && isRecord(returned) ? { ...returned, ...unheld } : bare({ ...facts, ...unheld })
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'null')
}

/** The result itself where nothing stands beside it. */
function bare(facts: Readonly<Record<string, unknown>>): unknown {
  const keys = Object.keys(facts)
  return keys.length === 1 && keys[0] === 'result' ? facts['result'] : facts
}

/** A tool parks its call by answering `{park: {for, until_ms}}`; only threads that this one spawned can be waited for. */
function parkOf(value: unknown, ctx: TurnContext): ToolFacts['park'] {
  if (typeof value !== 'object' || value === null || !('park' in value)) return null
  const { park } = value
  if (typeof park !== 'object' || park === null || !('for' in park) || !('until_ms' in park)) return null
  const { for: ids, until_ms: untilMs } = park
  const wake = 'wake_on_waiting' in park && park.wake_on_waiting === true ? { wakeOnWaiting: true } : {}
  const children = new Set(ctx.children().map(({ threadId }) => threadId))
  if (!Array.isArray(ids) || ids.length === 0 || typeof untilMs !== 'number' || !Number.isFinite(untilMs)) return null
  const known = ids.filter((id): id is string => typeof id === 'string' && children.has(id))
  return known.length === ids.length ? { for: known, untilMs: Math.min(untilMs, ctx.now() + MAX_PARK_MS), ...wake } : null
}

function unknownOutcome(ctx: TurnContext, call: PreparedCall): CallOutcome {
  const text =
    `The outcome of this call is unknown: ${call.item} had begun, and then its host stopped or its time was over; no result was recorded. ` +
    'It may or may not have taken effect, and it was not repeated. Check what happened before you call it again.'
  return {
    item: call.item,
    trace: null,
    parked: null,
    help: null,
    counted: true,
    denied: false,
    failure: { code: 'outcome_unknown', message: text, missing: [] },
    commit: { ...answer(ctx, call, text, true), usage: { tool_calls: 1 } },
  }
}

/** A call that is none is answered in a step all the same: what a replay finds recorded is then its one answer. */
function reject(
  services: HarnessServices,
  ctx: TurnContext,
  call: Extract<PreparedCall, { kind: 'rejected' }>,
): { readonly value: Json; readonly commit: Commit } {
  const envelope = call.error.toEnvelope()
  const text = JSON.stringify(envelope)
  const result = answer(ctx, call, text, true)
  const denial = denialEvents(call.item, envelope)
  const trace = traceOf(call.item, call.call.arguments, hash(text))
  const facts: ToolFacts = {
    trace,
    park: null,
    counted: false,
    denied: denial.length > 0,
    failure: failureOf(services, ctx, envelope),
  }
  // ToolFacts holds only JSON values.
  return {
    value: facts as unknown as Json,
    commit: { ...result, events: [callEvent(call), ...denial, ...(result.events ?? [])] },
  }
}

function refusedByLimit(ctx: TurnContext, call: PreparedCall): CallOutcome {
  const result = answer(ctx, call, 'This call was not run: max_tool_calls of this thread is reached.', true)
  return {
    item: call.item,
    trace: null,
    parked: null,
    help: null,
    counted: false,
    denied: false,
    failure: null,
    commit: { ...result, events: [callEvent(call), ...(result.events ?? [])] },
  }
}

/** The message and the event of a call's result. */
function answer(ctx: TurnContext, call: PreparedCall, text: string, isError: boolean): Commit {
  return answerCommit(ctx, { id: call.call.id, tool: call.item }, text, isError)
}

/** The message and the event of a result, for calls of this turn and for parked ones of an earlier turn. */
export function answerCommit(
  ctx: TurnContext,
  call: { readonly id: string; readonly tool: string },
  text: string,
  isError: boolean,
): Commit {
  const message = toolResult({ ...call, threadId: ctx.threadId }, text, isError)
  const event: NewEvent = {
    type: 'tool_result',
    payload: { tool: call.tool, success: !isError, summary: summarise(text), call_id: call.id },
    message: 0,
  }
  return { messages: [stored(message)], events: [event] }
}

function callEvent(call: PreparedCall): NewEvent {
  const parameters: JsonObject = call.kind === 'runnable' ? call.parameters : call.call.arguments
  return { type: 'tool_call', payload: { tool: call.item, args_hash: hash(canonicalJson(parameters)), call_id: call.call.id } }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
