import type { Consequence, Happening } from '../interruptions/contract.ts'
import { hear } from '../interruptions/interrupt.ts'
import { ANSWER_GRACE_MS } from '../interruptions/question.ts'
import { exceededToolCalls } from '../limits/budget.ts'
import type { Exceeded } from '../limits/budget.ts'
import { recordCall } from '../limits/loops.ts'
import type { LoopPattern } from '../limits/loops.ts'
import type { CallOutcome } from '../tools/tool-steps.ts'
import type { AnswerInput } from './answer-input.ts'
import type { Interruption, Scene, TurnEnd } from './scene.ts'
import type { Prepared, SafetyData } from './state.ts'
import { judgeLimits, tell, waitFor } from './turn-draft.ts'

/** Turns in a row of which every call was denied before the thread ends: it does not find what it may do. */
const MAX_DENIED_TURNS = 5

/** What a turn comes to whose tool calls have run: the next one, a wait for other threads or for somebody, or the end. */
export async function concludeCalls(input: AnswerInput, given: SafetyData, outcomes: readonly CallOutcome[]): Promise<TurnEnd> {
  const { services, ctx, prepared, answer } = input
  for (const { commit } of outcomes) if (commit !== null) ctx.record(commit)
  if (answer.incomplete !== null) tell(ctx, `${answer.incomplete.message} Send again what is missing.`)
  const scene: Scene = { services, ctx, prepared, data: given }
  const judged = judgeCalls(scene, outcomes)
  const heard = await hearAll({ ...scene, data: judged.data }, judged.happenings)
  return heard.kind === 'over' ? heard.end : nextAfter(heard.data)
}

/**
 * The same for calls of an earlier turn that got their results now. They were counted when they were made. The turn goes on where none of
 * that turn is open any more.
 */
export async function concludeDelivered(scene: Scene, outcomes: readonly CallOutcome[]): Promise<Interruption> {
  const { ctx, data: before } = scene
  const isDenied = outcomes.length > 0 && outcomes.every(({ denied }) => denied)
  const denied = isDenied
    ? (before.denied ?? 0) + (before.parked.length === 0 ? 1 : 0)
    : outcomes.length === 0
      ? before.denied
      : 0
  const looped = foldLoops({ ...before, ...(denied === undefined ? {} : { denied }) }, outcomes)
  const heard = await hearAll({ ...scene, data: looped.data }, [
    ...(isDenied && (denied ?? 0) >= MAX_DENIED_TURNS ? [nothingLeft()] : []),
    ...(looped.found === null ? [] : [loopHappening(ctx, looped.found)]),
    ...outcomes.flatMap(failureHappening),
  ])
  if (heard.kind === 'over' || heard.data.parked.length === 0) return heard
  return { kind: 'over', end: nextAfter(heard.data) }
}

/** Gives hooks and persons their say, the gravest first. */
async function hearAll(given: Scene, happenings: readonly Happening[]): Promise<Interruption> {
  let { data } = given
  for (const [index, happening] of happenings.entries()) {
    const interruption = await hear({ ...given, data }, happening)
    if (interruption.kind === 'over')
      return { kind: 'over', end: withUnheard(interruption.end, given.prepared, happenings.slice(index + 1)) }
    data = interruption.data
  }
  return { kind: 'go_on', data }
}

/** A hook or a person that is asked about one thing must not keep another, such as a denial, from being heard. */
function withUnheard(end: TurnEnd, { hooks }: Prepared, others: readonly Happening[]): TurnEnd {
  if (end.next.do !== 'wait') return end
  const unheard = others.filter(({ event, consequence }) => consequence.kind === 'ask' || (hooks !== undefined && event !== null))
  return unheard.length === 0 ? end : { ...end, data: { ...end.data, unheard: [...end.data.unheard, ...unheard] } }
}

/** Another turn, or the wait for what the open calls wait for. The time that somebody takes for an answer does not count. */
export function nextAfter(data: SafetyData): TurnEnd {
  const { parked } = data
  if (parked.length === 0) return { data, next: { do: 'turn' } }
  const untilMs = Math.min(...parked.map((call) => ('approvalId' in call ? call.untilMs + ANSWER_GRACE_MS : call.untilMs)))
  if (parked.some((call) => 'approvalId' in call)) return waitFor(data, 'approval', untilMs)
  return { data, next: { do: 'wait', reason: 'children', untilMs } }
}

/** The counters after these calls, and what they have brought about, the gravest first. */
function judgeCalls(
  { ctx, prepared, data: before }: Scene,
  outcomes: readonly CallOutcome[],
): { readonly data: SafetyData; readonly happenings: readonly Happening[] } {
  const toolCalls = before.spent.toolCalls + outcomes.filter(({ counted }) => counted).length
  const parked = outcomes.flatMap((outcome) => (outcome.parked === null ? [] : [outcome.parked]))
  const denied = deniedTurns(before, outcomes)
  const spent = { ...before.spent, toolCalls }
  const overLimit = toolLimit(prepared, before, { asked: outcomes.length, ran: toolCalls - before.spent.toolCalls })
  const limited = judgeLimits(
    ctx,
    { ...before, spent, parked, fruitless: 0, denied },
    prepared,
    overLimit === null ? [] : [overLimit],
  )
  const looped = foldLoops(limited.data, outcomes)
  return {
    data: looped.data,
    happenings: [
      ...(limited.reached === null ? [] : [limited.reached]),
      ...(denied >= MAX_DENIED_TURNS ? [nothingLeft()] : []),
      ...(looped.found === null ? [] : [loopHappening(ctx, looped.found)]),
      ...outcomes.flatMap(helpHappening),
      ...outcomes.flatMap(failureHappening),
      {
        event: { name: 'after_step', code: 'turn', detail: { turn: spent.turns, tools: outcomes.map(({ item }) => item) } },
        consequence: GO_ON,
      },
    ],
  }
}

/** What is not answered yet may be a denial still. */
function deniedTurns({ denied = 0 }: SafetyData, outcomes: readonly CallOutcome[]): number {
  if (!outcomes.every((outcome) => outcome.denied || asks(outcome))) return 0
  return outcomes.some(asks) ? denied : denied + 1
}

function asks({ parked }: CallOutcome): boolean {
  return parked !== null && 'approvalId' in parked
}

const GO_ON: Consequence = { kind: 'go_on', note: null }

function nothingLeft(): Happening {
  const message = `Every tool call of ${MAX_DENIED_TURNS} turns in a row was denied; the thread has nothing left that it may do.`
  return {
    event: { name: 'on_error', code: 'permission_denied', detail: { message, turns: MAX_DENIED_TURNS } },
    consequence: { kind: 'end', endReason: 'permission_denied', failure: { message } },
  }
}

/** What the model said of itself. `guidance` and `checkpoint` stop nothing. */
function helpHappening({ help }: CallOutcome): readonly Happening[] {
  if (help?.action !== 'escalate' && help?.action !== 'stuck') return []
  const isStuck = help.action === 'stuck'
  const kind = isStuck ? 'stuck' : 'escalation'
  const title = help.reason === '' ? (isStuck ? 'The thread makes no progress.' : 'The thread asks for a person.') : help.reason
  const consequence: Consequence = {
    kind: 'ask',
    question: { kind, wait: 'escalated', title: title.slice(0, TITLE_CHARACTERS), subject: { reason: help.reason } },
    refused: { kind: 'go_on', note: 'Go on as well as you can without it, or finish and say what is missing.' },
  }
  return [{ event: isStuck ? { name: 'on_error', code: 'stuck', detail: { message: help.reason } } : null, consequence }]
}

const TITLE_CHARACTERS = 500

function failureHappening({ item, denied, failure }: CallOutcome): readonly Happening[] {
  if (failure === null) return []
  const detail = { tool: item, error_code: failure.code, message: failure.message, missing: failure.missing }
  return [{ event: { name: 'on_error', code: denied ? 'permission_denied' : 'tool_failed', detail }, consequence: GO_ON }]
}

/** The limit on tool calls when this turn asked for more than it left. */
function toolLimit(
  { limits }: Prepared,
  before: SafetyData,
  turn: { readonly asked: number; readonly ran: number },
): Exceeded | null {
  const beyond = exceededToolCalls(limits, before.added, before.spent.toolCalls + turn.asked - 1)
  return beyond === null ? null : { ...beyond, used: before.spent.toolCalls + turn.ran }
}

interface FoundLoop {
  readonly item: string
  readonly pattern: LoopPattern
}

function foldLoops(
  data: SafetyData,
  outcomes: readonly CallOutcome[],
): { readonly data: SafetyData; readonly found: FoundLoop | null } {
  let recent = data.recentCalls
  for (const { item, trace } of outcomes) {
    if (trace === null) continue
    const { recent: kept, loop } = recordCall(recent, trace)
    recent = kept
    if (loop !== null) return { data: { ...data, recentCalls: [] }, found: { item, pattern: loop } }
  }
  return { data: { ...data, recentCalls: recent }, found: null }
}

/** The model is told at once; whether it may go on is for somebody to say. */
function loopHappening(ctx: Scene['ctx'], { item, pattern }: FoundLoop): Happening {
  ctx.record({ events: [{ type: 'loop_detected', payload: { tool: item, pattern } }] })
  const what =
    pattern === 'same_call'
      ? `${item} was called three times with the same arguments and gave the same result`
      : `two calls repeat in turn, ${item} among them`
  tell(ctx, `Loop detected: ${what}. Repeating it brings nothing new. Do something else, or finish with what you know.`)
  const message = `The thread went in a loop: ${what}.`
  return {
    event: { name: 'on_error', code: 'loop_detected', detail: { tool: item, pattern, message } },
    consequence: {
      kind: 'ask',
      question: { kind: 'loop', wait: 'loop_detected', title: message, subject: { tool: item, pattern } },
      refused: { kind: 'end', endReason: 'cancelled', failure: { message } },
    },
  }
}
