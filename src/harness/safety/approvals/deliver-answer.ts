import type { JsonObject } from '../../../json.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { TurnContext } from '../../../threads/engine.ts'
import type { ToolCall } from '../../base/conversation.ts'
import type { Answer } from '../interruptions/contract.ts'
import { secretInParameters } from '../redaction.ts'
import type { HarnessServices } from '../services.ts'
import { answerCommit } from '../tools/call-events.ts'
import type { ToolRequests } from '../tools/tool-request.ts'
import { rejectCall, runCall } from '../tools/tool-steps.ts'
import type { CallOutcome } from '../tools/tool-steps.ts'
import type { Scene } from '../turn/scene.ts'
import type { ParkedOnAnswer, SafetyData } from '../turn/state.ts'
import { millisecondsLeft } from '../turn/time-left.ts'
import { argsHashOf } from './call-question.ts'

/** From the answer until the call that was approved runs. */
const ONCE_MS = 10 * 60_000
/** How long an approval for the whole thread holds at most. */
const THREAD_MS = 24 * 3_600_000
const STEP_TIMEOUT_MS = 60_000

interface AnswerInput extends Scene {
  readonly requests: ToolRequests
  readonly begunMs: number
}

/**
 * The result of a call that somebody was asked about: it runs now, under the token of the approval, or the result says that it was not
 * agreed to. What was done by whoever agreed to a change is told. No answer in time is a no.
 */
export async function deliverAnswer(input: AnswerInput, parked: ParkedOnAnswer, call: ToolCall): Promise<CallOutcome> {
  const answer = input.data.answers[parked.approvalId]
  const name = `answered-${parked.approvalId}`
  if (answer === undefined || answer.decision === 'deny') return refuse(input, { parked, call, answer })
  if (parked.asks === 'change') return tell(input, { parked, facts: answer.facts })
  const secret = secretInParameters(input.services.redactor(input.ctx.threadId), call)
  const prepared = await input.requests.prepare(call, secret)
  if (prepared.kind === 'runnable' && argsHashOf(prepared) !== parked.argsHash)
    return refuse(input, { parked, call, answer: { ...answer, reason: 'It is not the call that was shown.' } })
  const approval = { approvalId: parked.approvalId, expiresAtMs: () => endOf(input, answer) }
  return runCall({ ...input, millisecondsLeft: millisecondsLeft(input, input.data) }, { call: prepared, name, approval })
}

/** The data without an answer that was used, and with what it allows from now on. */
export function useAnswer(ctx: TurnContext, data: SafetyData, { approvalId, tool, asks }: ParkedOnAnswer): SafetyData {
  const { [approvalId]: answer, ...answers } = data.answers
  if (answer?.decision !== 'approve_thread' || asks !== 'tool') return { ...data, answers }
  const approvedTools = { ...data.approvedTools, [tool]: { approvalId, untilMs: ctx.now() + THREAD_MS } }
  return { ...data, answers, approvedTools }
}

/** Within a step, because the answer's time stands in the registry alone. */
function endOf({ services, ctx }: AnswerInput, { approvalId, decision }: Answer): number {
  if (decision === 'approve_thread') return ctx.now() + THREAD_MS
  const { answered_at: answeredAt } = services.threads.approvals.get(approvalId)
  return (answeredAt === null ? ctx.now() : Date.parse(answeredAt)) + ONCE_MS
}

interface Refusal {
  readonly parked: ParkedOnAnswer
  readonly call: ToolCall
  readonly answer: Answer | undefined
}

async function refuse(input: AnswerInput, { parked, call, answer }: Refusal): Promise<CallOutcome> {
  const error = refusalOf(parked, answer)
  const name = `answered-${parked.approvalId}`
  const isExpired = answer === undefined
  return rejectCall(input, {
    call: { kind: 'rejected', call, item: parked.tool, error },
    name,
    // A change was told of when its tool ran.
    isTold: parked.asks === 'change',
    approvals: isExpired ? [{ do: 'close', approvalId: parked.approvalId, as: 'expired' }] : [],
  })
}

function refusalOf({ tool, asks, approvalId }: ParkedOnAnswer, answer: Answer | undefined): KiwiError {
  const what = asks === 'change' ? `The change that ${tool} asked for was not made` : `This call of ${tool} was not made`
  const why = answer === undefined ? 'nobody answered in time, which is a no' : 'it was not agreed to'
  const reason = answer === undefined || answer.reason === '' ? '' : ` The reason: ${answer.reason}`
  return new KiwiError('PERMISSION_DENIED', `${what}: ${why}.${reason}`, {
    facts: {
      missing: [asks === 'change' ? 'the agreement of a person' : `tool.approved ${JSON.stringify(tool)}`],
      approval_id: approvalId,
      decision: answer === undefined ? 'expired' : 'deny',
      reason: answer?.reason ?? null,
    },
    suggestion: 'Do not try another way to the same thing. Do the rest of the work, or finish and say what is missing.',
  })
}

/** The change was carried out when it was agreed to; what that came to is the result. */
async function tell(
  { services, ctx }: AnswerInput & { readonly services: HarnessServices },
  { parked, facts }: { readonly parked: ParkedOnAnswer; readonly facts: JsonObject },
): Promise<CallOutcome> {
  const { callId, tool, approvalId } = parked
  const text = services.redactor(ctx.threadId).text(JSON.stringify(facts))
  await ctx.step(`answered-${approvalId}`, { effect: 'pure', timeoutMs: STEP_TIMEOUT_MS }, async () => ({
    value: null,
    commit: answerCommit(ctx, { id: callId, tool }, text, false),
  }))
  return { item: tool, trace: null, parked: null, help: null, counted: false, denied: false, failure: null, commit: null }
}
