import type { Json } from '../../../json.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { MetaToolResult } from '../../../kernel/contract.ts'
import type { ApprovalChange } from '../../../threads/approvals/approval.ts'
import type { Commit, NewEvent, StepMeta, StepOptions, StepOutcome, TurnContext } from '../../../threads/engine.ts'
import type { ToolCall } from '../../base/conversation.ts'
import { runToolCalls } from '../../base/tool-calls.ts'
import { hash, traceOf } from '../limits/loops.ts'
import type { CallTrace } from '../limits/loops.ts'
import { summarise } from '../turn/messages.ts'
import { secretInParameters } from '../redaction.ts'
import { askForCall, parkedCall, parkOf } from '../approvals/park.ts'
import type { Asked, Park } from '../approvals/park.ts'
import type { HarnessServices } from '../services.ts'
import type { ParkedCall, SafetyData } from '../turn/state.ts'
import { answerCommit, callEvent, helpEvents } from './call-events.ts'
import { shown } from './call-result.ts'
import type { HelpSignal, PreparedCall, RunnableCall, ToolRequests } from './tool-request.ts'
import { callContext, denialEvents, runUnderToken } from './under-token.ts'
import type { CallPlace } from './under-token.ts'

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
  readonly park: Park | null
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
  /** What was approved for the whole thread counts for these calls. */
  readonly data: Pick<SafetyData, 'approvedTools'>
}

/** What one step needs of that. */
type StepInput = Pick<ToolStepsInput, 'services' | 'ctx' | 'millisecondsLeft' | 'data'>

/** An approval that a call runs under. */
export interface GivenApproval {
  readonly approvalId: string
  /** End of what was approved, in UTC milliseconds; asked for when the call runs. */
  readonly expiresAtMs: () => number
}

interface StepPlan {
  readonly call: PreparedCall
  /** Unique in its turn. */
  readonly name: string
  /** The call waited for this; it was told of and counted when it began to. */
  readonly approval: GivenApproval | null
}

const TOOL_STEP_TIMEOUT_MS = 10 * 60_000
/** A call that begins gets a moment, however little time is left: what is stopped at once has an unknown outcome. */
const LEAST_STEP_TIMEOUT_MS = 1_000
const AT_ONCE = 4

/** Runs the calls of a turn, at most four at a time, each as one journaled step; the outcomes stand in call order. */
export function runToolSteps(input: ToolStepsInput): Promise<readonly CallOutcome[]> {
  return runToolCalls(
    input.calls,
    async (call, { index }) => {
      const secret = secretInParameters(input.services.redactor(input.ctx.threadId), call)
      const prepared = await input.requests.prepare(call, secret)
      if (index >= input.allowed) return refusedByLimit(input.ctx, prepared)
      return runCall(input, { call: prepared, name: stepName(prepared, index), approval: null })
    },
    { concurrency: AT_ONCE, signal: input.ctx.signal },
  )
}

/** Runs one call as a journaled step; one that was approved was counted before. */
export async function runCall(input: StepInput, plan: StepPlan): Promise<CallOutcome> {
  const { ctx } = input
  const { call, name } = plan
  if (call.kind === 'rejected') return rejectCall(input, { call, name })
  const outcome = await stepOrTimeout(ctx, () =>
    ctx.step<Json>(name, runOptions(input, { ...plan, call }), (meta) => execute(input, { ...plan, call }, meta)),
  )
  // `refused` needs a reservation, which a tool step never makes.
  return outcome.kind === 'done' ? outcomeOf(call, outcome.value) : unknownOutcome(ctx, plan)
}

export interface Rejection {
  readonly call: Extract<PreparedCall, { kind: 'rejected' }>
  readonly name: string
  /** That it was called is written down already. */
  readonly isTold?: boolean
  readonly approvals?: readonly ApprovalChange[]
}

/** Answers a call that does not run, in a step all the same: what a replay finds recorded is then its one answer. */
export async function rejectCall(place: CallPlace, rejection: Rejection): Promise<CallOutcome> {
  const options = { effect: 'pure', timeoutMs: TOOL_STEP_TIMEOUT_MS } as const
  const outcome = await place.ctx.step<Json>(rejection.name, options, async () => reject(place, rejection))
  if (outcome.kind === 'done') return outcomeOf(rejection.call, outcome.value)
  return unknownOutcome(place.ctx, { ...rejection, approval: null })
}

function outcomeOf(call: PreparedCall, value: Json): CallOutcome {
  // The value of a tool's step is always ToolFacts: `execute` or `reject` wrote it.
  const { trace, park, counted, denied = false, failure = null } = value as unknown as ToolFacts
  const parked = park === null ? null : parkedCall({ callId: call.call.id, tool: call.item }, park)
  const help = call.kind === 'runnable' ? call.helpSignal : null
  return { item: call.item, trace, parked, help, counted, denied, failure, commit: null }
}

interface RunnablePlan extends StepPlan {
  readonly call: RunnableCall
}

function runOptions(input: StepInput, plan: RunnablePlan): StepOptions {
  const left = Math.max(LEAST_STEP_TIMEOUT_MS, input.millisecondsLeft ?? TOOL_STEP_TIMEOUT_MS)
  return {
    effect: effectOf(input, plan),
    timeoutMs: Math.min(TOOL_STEP_TIMEOUT_MS, left),
    before: { events: startEvents(input, plan) },
  }
}

/** To ask is to do nothing yet; what somebody agreed to is not begun a second time, whatever came of the first. */
function effectOf(input: StepInput, plan: RunnablePlan): StepOptions['effect'] {
  if (mustAsk(input, plan)) return 'pure'
  return plan.approval === null ? plan.call.effect : 'once'
}

/** A call that is only asked about has not begun. */
function startEvents(input: StepInput, plan: RunnablePlan): readonly NewEvent[] {
  if (mustAsk(input, plan)) return []
  return [callEvent(plan.call, (plan.approval ?? standingApproval(input, plan.call))?.approvalId)]
}

/** By the journal and the file of the tool; the kernel looks for itself. */
function mustAsk(input: StepInput, { call, approval }: RunnablePlan): boolean {
  return call.approval && approval === null && standingApproval(input, call) === null
}

/** What was approved for the thread, while it lasts. */
function standingApproval({ ctx, data }: StepInput, call: RunnableCall): GivenApproval | null {
  if (!call.approval || !Object.hasOwn(data.approvedTools, call.item)) return null
  const { approvalId, untilMs } = data.approvedTools[call.item] ?? { approvalId: '', untilMs: 0 }
  return ctx.now() < untilMs ? { approvalId, expiresAtMs: () => untilMs } : null
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
  input: StepInput,
  plan: RunnablePlan,
  meta: StepMeta,
): Promise<{ readonly value: Json; readonly commit: Commit }> {
  const { ctx } = input
  const { call, name } = plan
  const isFirst = plan.approval === null
  const checkOnly = mustAsk(input, plan)
  const token = tokenOf(input, plan)
  const result = await runUnderToken(input, call, meta, { checkOnly, ...(token === undefined ? {} : { token }) })
  // An interrupted or superseded step leaves no result; one that only ran out of time has the tool's own answer.
  if (ctx.signal.aborted) ctx.signal.throwIfAborted()
  const asking = { ...input, part: name }
  const lacksApproval = result.success ? checkOnly : isFirst && result.error.code === 'APPROVAL_REQUIRED'
  const asked = lacksApproval ? await askForCall(asking, call, await callContext(input, meta)) : null
  const found = asked ?? (result.success ? parkOf(asking, call, result['result']) : null)
  const [park, approvals] = found !== null && 'approval' in found ? [found.park, [request(found)]] : [found, []]
  if (asked !== null) return parkedFirst(asked.park, approvals)
  const text = input.services.redactor(ctx.threadId).text(shown(result))
  const trace = call.poll || park !== null ? null : traceOf(call.item, call.parameters, hash(text))
  const denial = denialEvents(call.item, result)
  const facts: ToolFacts = {
    trace,
    park,
    counted: isFirst,
    denied: denial.length > 0,
    failure: failureOf(input.services, ctx, result),
  }
  const told = park === null ? answer(ctx, call, text, !result.success) : {}
  const events = [...denial, ...(told.events ?? []), ...helpEvents(call)]
  const commit: Commit = {
    ...told,
    ...(events.length === 0 ? {} : { events }),
    ...(approvals.length === 0 ? {} : { approvals }),
    usage: { tool_calls: isFirst ? 1 : 0 },
  }
  // ToolFacts holds only JSON values.
  return { value: facts as unknown as Json, commit }
}

/** The token of the approval that the call runs under; none for a call that needs none. */
function tokenOf(input: StepInput, plan: RunnablePlan): (() => Promise<string>) | undefined {
  const { services, ctx } = input
  const given = plan.approval ?? standingApproval(input, plan.call)
  const { authority } = services
  if (given === null || authority === null) return undefined
  const { approvalId, expiresAtMs } = given
  return async () =>
    authority.mintApproval({ threadId: ctx.threadId, approvalId, toolId: plan.call.item, expiresAtMs: expiresAtMs() })
}

function request({ approval }: Asked): ApprovalChange {
  return { do: 'request', approval }
}

/** Nothing ran, and nothing is told to the model before the answer. */
function parkedFirst(park: Park, approvals: readonly ApprovalChange[]): { readonly value: Json; readonly commit: Commit } {
  const facts: ToolFacts = { trace: null, park, counted: true, denied: false, failure: null }
  // ToolFacts holds only JSON values.
  return { value: facts as unknown as Json, commit: { approvals, usage: { tool_calls: 1 } } }
}

function failureOf(services: HarnessServices, ctx: TurnContext, result: MetaToolResult): CallFailure | null {
  if (result.success) return null
  const { code, message, missing } = result.error
  // Before it is cut: half a secret is not known for one any more.
  const told = services.redactor(ctx.threadId).text(message)
  return { code, message: summarise(told), missing: Array.isArray(missing) ? missing.map(String) : [] }
}

function unknownOutcome(ctx: TurnContext, { call, approval }: StepPlan): CallOutcome {
  const isFirst = approval === null
  const text =
    `The outcome of this call is unknown: ${call.item} had begun, and then its host stopped or its time was over; no result was recorded. ` +
    'It may or may not have taken effect, and it was not repeated. Check what happened before you call it again.'
  return {
    item: call.item,
    trace: null,
    parked: null,
    help: null,
    counted: isFirst,
    denied: false,
    failure: { code: 'outcome_unknown', message: text, missing: [] },
    commit: { ...answer(ctx, call, text, true), usage: { tool_calls: isFirst ? 1 : 0 } },
  }
}

function reject(
  { services, ctx }: CallPlace,
  { call, isTold = false, approvals = [] }: Rejection,
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
    commit: {
      ...result,
      events: [...(isTold ? [] : [callEvent(call)]), ...denial, ...(result.events ?? [])],
      ...(approvals.length === 0 ? {} : { approvals }),
    },
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
