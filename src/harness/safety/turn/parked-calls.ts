import type { Json } from '../../../json.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { TurnContext } from '../../../threads/engine.ts'
import { isTerminal, needsPerson } from '../../../threads/status.ts'
import { runToolCalls } from '../../base/tool-calls.ts'
import type { ToolCall } from '../../base/conversation.ts'
import { argsHashOf } from '../approvals/call-question.ts'
import { deliverAnswer, useAnswer } from '../approvals/deliver-answer.ts'
import { ANSWER_GRACE_MS } from '../interruptions/question.ts'
import { callerOf } from '../interventions/caller.ts'
import { waitAnswer } from '../interventions/thread-view.ts'
import { answerCommit } from '../tools/call-events.ts'
import { parametersOf } from '../tools/tool-request.ts'
import type { ToolRequests } from '../tools/tool-request.ts'
import type { CallOutcome } from '../tools/tool-steps.ts'
import { concludeDelivered, nextAfter } from './conclude-calls.ts'
import { joinedCommits } from './joined-commits.ts'
import { messageOf } from './messages.ts'
import type { Interruption, Scene, TurnEnd } from './scene.ts'
import type { ParkedCall, ParkedOnAnswer, ParkedOnThreads, SafetyData } from './state.ts'

const AT_ONCE = 4

const DELIVER_TIMEOUT_MS = 60_000

export interface ParkedInput extends Scene {
  readonly requests: ToolRequests
  /** Of the turn, on the clock of `performance.now()`. */
  readonly begunMs: number
}

/**
 * Gives the calls of an earlier turn their results as what they wait for comes: the threads, or the answer, under which the call runs now.
 * While one is still open the thread waits on, and the model is not called.
 */
export async function deliverParked(input: ParkedInput): Promise<Interruption> {
  const { ctx, data } = input
  const { parked } = data
  if (parked.length === 0) return { kind: 'go_on', data }
  const delivered = await deliverThreads(input, parked.filter(isOnThreads))
  const answered = parked.flatMap((call) => (isOnThreads(call) || isUnanswered(ctx, data, call) ? [] : [call]))
  const open = parked.filter((call) => (isOnThreads(call) ? !delivered.includes(call) : !answered.includes(call)))
  if (open.length === parked.length) return { kind: 'over', end: idle(nextAfter(data)) }
  const outcomes = await deliverAnswers(input, answered)
  const again = outcomes.flatMap((outcome) => (outcome.parked === null ? [] : [outcome.parked]))
  const rest = answered.reduce<SafetyData>((left, call) => useAnswer(ctx, left, call), { ...data, parked: [...open, ...again] })
  return concludeDelivered({ ...input, data: rest }, outcomes)
}

function isOnThreads(call: ParkedCall): call is ParkedOnThreads {
  return 'waitFor' in call
}

function isUnanswered(ctx: TurnContext, { answers }: SafetyData, { approvalId, untilMs }: ParkedOnAnswer): boolean {
  return !Object.hasOwn(answers, approvalId) && ctx.now() < untilMs + ANSWER_GRACE_MS
}

/** By what the other threads do at this moment, which no replay finds again. */
function isOpen(ctx: TurnContext, call: ParkedOnThreads): boolean {
  if (ctx.now() >= call.untilMs) return false
  const children = new Map(ctx.children().map((child) => [child.threadId, child]))
  const waitedFor = call.waitFor.flatMap((id) => children.get(id) ?? [])
  if (call.wakeOnWaiting === true && waitedFor.some(({ status, waitReason }) => needsPerson(status, waitReason))) return false
  return waitedFor.some(({ status }) => !isTerminal(status))
}

/** The thread only looked. */
function idle(end: TurnEnd): TurnEnd {
  return end.next.do === 'wait' ? { ...end, next: { ...end.next, idle: true } } : end
}

/**
 * Gives those of the calls their results that are no longer waited for, and says which: in one journaled step, which holds what was seen, so
 * that a replay delivers the same. A step that finds nothing leaves nothing.
 */
async function deliverThreads({ services, ctx }: Scene, calls: readonly ParkedOnThreads[]): Promise<readonly ParkedOnThreads[]> {
  if (calls.length === 0) return []
  let isNothingReady = false
  try {
    const outcome = await ctx.step<Json>('deliver', { effect: 'pure', timeoutMs: DELIVER_TIMEOUT_MS }, async () => {
      const ready = calls.filter((call) => !isOpen(ctx, call))
      isNothingReady = ready.length === 0
      if (isNothingReady) throw new KiwiError('ABORTED', 'Nothing that the parked calls wait for has come.')
      const { projectPath } = services.kernel
      const caller = await callerOf(services, { projectPath, __thread_id: ctx.threadId, __auth: services.hostAuthority })
      const commits = ready.map((call) => {
        const answer = waitAnswer(services.threads, call.waitFor, caller)
        return answerCommit(ctx, { id: call.callId, tool: call.tool }, JSON.stringify(answer), false)
      })
      return { value: ready.map((call) => calls.indexOf(call)), commit: joinedCommits(commits) }
    })
    const places = outcome.kind === 'done' ? outcome.value : []
    // An earlier version delivered all of them at once, and left their number.
    return Array.isArray(places) ? calls.filter((_call, index) => places.includes(index)) : calls
  } catch (error) {
    if (isNothingReady && !ctx.signal.aborted) return []
    throw error
  }
}

/** As if they had been made now: in call order, some at a time. */
async function deliverAnswers(input: ParkedInput, parked: readonly ParkedOnAnswer[]): Promise<readonly CallOutcome[]> {
  const { ctx } = input
  const calls = parked.map((one) => callOf(ctx, one))
  const deliver = async (call: ToolCall, { index }: { readonly index: number }): Promise<readonly CallOutcome[]> => {
    const one = parked[index]
    return one === undefined ? [] : [await deliverAnswer(input, one, call)]
  }
  const outcomes = (await runToolCalls(calls, deliver, { concurrency: AT_ONCE, signal: ctx.signal })).flat()
  // The model is called in this very turn, so what a turn records at its end would come too late.
  const late = outcomes.flatMap(({ commit }) => (commit === null ? [] : [commit]))
  if (late.length > 0)
    await ctx.step('deliver-unknown', { effect: 'pure', timeoutMs: DELIVER_TIMEOUT_MS }, async () => ({
      value: late.length,
      commit: joinedCommits(late),
    }))
  return outcomes
}

/** The call as the model made it. Calls of one answer may have the same id; what was shown tells them apart. */
function callOf(ctx: TurnContext, { callId, argsHash }: ParkedOnAnswer): ToolCall {
  for (const entry of ctx.history().toReversed()) {
    const message = entry.role === 'assistant' ? messageOf(entry) : null
    const blocks = message?.role === 'assistant' ? message.blocks : []
    const calls = blocks.flatMap((block) => (block.type === 'tool_call' && block.call.id === callId ? [block.call] : []))
    const shown = calls.find((call) => argsHashOf({ parameters: parametersOf(call) }) === argsHash)
    if (calls.length > 0) return shown ?? { id: callId, name: '', arguments: {} }
  }
  return { id: callId, name: '', arguments: {} }
}
