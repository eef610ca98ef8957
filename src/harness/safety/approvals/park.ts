import type { Json, JsonObject } from '../../../json.ts'
import type { ApprovalKind, NewApproval } from '../../../threads/approvals/approval.ts'
import type { TurnContext } from '../../../threads/engine.ts'
import { approvalIdOf } from '../interruptions/question.ts'
import type { RunnableCall } from '../tools/tool-request.ts'
import type { CallPlace } from '../tools/under-token.ts'
import type { ParkedOnAnswer, ParkedOnThreads } from '../turn/state.ts'
import { argsHashOf, callQuestion, titleLine } from './call-question.ts'

/** What a call waits for, as its step leaves it in the journal. */
export type Park = OnThreads | OnAnswer

type OnThreads = Pick<ParkedOnThreads, 'untilMs' | 'wakeOnWaiting'> & { readonly for: readonly string[] }
type OnAnswer = Pick<ParkedOnAnswer, 'approvalId' | 'asks' | 'argsHash' | 'untilMs'>

/** Where a call stands: `part` tells it from the others of its turn, which may have the same id and the same arguments. */
export interface AskingPlace extends CallPlace {
  readonly part: string
}

/** A call that waits for somebody's answer, and the question that its step puts. */
export interface Asked {
  readonly park: OnAnswer
  readonly approval: NewApproval
}

const MAX_PARK_MS = 24 * 3_600_000

/** Asks whether the call may be made. */
export async function askForCall(
  place: AskingPlace,
  call: RunnableCall,
  context: Parameters<typeof callQuestion>[2],
): Promise<Asked> {
  return ask(place, call, { kind: 'tool', ...(await callQuestion(place, call, context)) })
}

/**
 * A tool parks its call by answering `{park: {for, until_ms, wake_on_waiting?}}`, where only threads that this one spawned can be waited for;
 * a shipped one also by `{park: {approval: {kind: 'change', title, subject}}}`, which puts that question. Whoever agrees to a change carries
 * it out, and the facts of the answer are the call's result.
 */
export function parkOf(place: AskingPlace, call: RunnableCall, value: unknown): OnThreads | Asked | null {
  if (!isRecord(value) || !isRecord(value['park'])) return null
  const { approval } = value['park']
  if (approval === undefined) return onThreads(value['park'], place.ctx)
  if (!call.isShipped || !isRecord(approval) || approval['kind'] !== 'change') return null
  const { title, subject } = approval
  if (typeof title !== 'string' || !isRecord(subject)) return null
  return ask(place, call, { kind: 'change', title: titleLine(redacted(place, title)), subject })
}

/** The call as the thread's state keeps it. */
export function parkedCall(
  call: { readonly callId: string; readonly tool: string },
  park: Park,
): ParkedOnThreads | ParkedOnAnswer {
  if ('approvalId' in park) return { ...call, ...park }
  const { for: waitFor, ...ends } = park
  return { ...call, waitFor, ...ends }
}

/** The expiry counts from now, and not from the beginning of the turn: a model may have taken long to get here. */
function ask(
  { services, ctx, part }: AskingPlace,
  call: RunnableCall,
  question: { readonly kind: Extract<ApprovalKind, 'tool' | 'change'>; readonly title: string; readonly subject: JsonObject },
): Asked {
  const { kind } = question
  const approvalId = approvalIdOf(ctx, kind, part)
  const untilMs = Math.max(ctx.now(), Date.now()) + services.approvalTimeoutMs(ctx.threadId)
  return {
    park: { approvalId, asks: kind, argsHash: argsHashOf(call), untilMs },
    approval: { approvalId, ...question, expiresAtMs: untilMs },
  }
}

function onThreads(park: Readonly<Record<string, unknown>>, ctx: TurnContext): OnThreads | null {
  const { for: ids, until_ms: untilMs, wake_on_waiting: wakeOnWaiting } = park
  const children = new Set(ctx.children().map(({ threadId }) => threadId))
  if (!Array.isArray(ids) || ids.length === 0 || typeof untilMs !== 'number' || !Number.isFinite(untilMs)) return null
  const known = ids.filter((id): id is string => typeof id === 'string' && children.has(id))
  if (known.length !== ids.length) return null
  return { for: known, untilMs: Math.min(untilMs, ctx.now() + MAX_PARK_MS), ...(wakeOnWaiting === true ? { wakeOnWaiting } : {}) }
}

function redacted({ services, ctx }: CallPlace, text: string): string {
  return services.redactor(ctx.threadId).text(text)
}

function isRecord(value: unknown): value is Readonly<Record<string, Json | undefined>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
