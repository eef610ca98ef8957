/**
 * A client that waits for threads while one of them, or one below it, waits for an answer: its user is asked.
 *
 *   Q1. A call answers in its time, whether or not the user has decided.
 *   Q2. Only a clear answer is one. What was put aside, could not be read or came too late leaves the question open until it expires.
 *   Q3. Within one call nothing is asked twice; what is still open then is asked again at the next wait.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { inputRequired, type InputRequiredResult, type ServerContext } from '@modelcontextprotocol/server'
import type { JsonObject } from '../../json.ts'
import { KiwiError } from '../../kernel/errors.ts'
import type { ApprovalRow } from '../../threads/approvals/approval.ts'
import type { ToolCall, ToolCalls, ToolOutcome } from '../call-tool.ts'
import { type AnswerPlace, answerQuestion, takenUp } from './answer-question.ts'
import type { Dialog } from './dialog.ts'
import { formAnswer, questionForm } from './question-form.ts'
import { shownQuestions } from './shown-questions.ts'
import type { WaitCall } from './wait-call.ts'

export interface AskingWait {
  readonly wait: WaitCall
  readonly call: Omit<ToolCall, 'given'>
  readonly calls: ToolCalls
  readonly place: AnswerPlace
  readonly context: ServerContext
}

const LOOK_EVERY_MS = 200
/** Rounds of one call of the newer era; clients give up after about ten. */
const MAX_ROUNDS = 8
const MAX_STATE_CHARACTERS = 4_096

/** In the older era: the dialog is open while the call goes on, and longer. */
export async function waitInDialog(asking: AskingWait, dialog: Dialog): Promise<ToolOutcome> {
  const { wait, context } = asking
  const until = performance.now() + wait.timeoutMs
  const left = (): number => Math.max(0, until - performance.now())
  const asked = new Map<string, string | null>()
  const look = (): ApprovalRow | undefined => {
    const open = questionsOf(asking)
    const next = open.find(({ approval_id: id }) => !asked.has(id))
    if (dialog.current() === null && next !== undefined) {
      asked.set(next.approval_id, null)
      dialog.ask(next, asking.place, context)
    }
    return open.find(({ approval_id: id }) => id === dialog.current()?.approvalId)
  }
  for (;;) {
    const outcome = await runLooking(asking, {
      timeoutMs: left(),
      signals: [],
      look: () => void look(),
      state: () => dialog.current()?.approvalId,
    })
    const shown = look()
    const current = dialog.current()
    if (shown === undefined || current === null || !outcome.result.success || left() === 0 || context.mcpReq.signal.aborted)
      return withAsked(asking, outcome, asked)
    const error = await Promise.race([current.closed, pause(left(), asking.call.signals)])
    if (asked.has(current.approvalId)) asked.set(current.approvalId, error)
    await takenUp(asking.place, shown.thread_id, left())
  }
}

/** In the newer era: the call is answered with the question, and comes again with what the user said. */
export async function waitInRounds(asking: AskingWait): Promise<ToolOutcome | InputRequiredResult> {
  const { wait, context } = asking
  const until = performance.now() + wait.timeoutMs
  const left = (): number => Math.max(0, until - performance.now())
  const asked = new Map(askedBefore(context).map((id) => [id, null as string | null]))
  for (const row of questionsOf(asking)) {
    if (!asked.has(row.approval_id)) continue
    const answer = formAnswer(row, responseTo(context, row.approval_id))
    if (answer === null) continue
    const answered = await answerQuestion(asking.place, row, answer)
    if (!answered.success) asked.set(row.approval_id, answered.error.message)
  }
  for (const id of asked.keys()) {
    // Also one that was closed by time, or by somebody else.
    const row = rowOrNull(asking.place, id)
    if (row !== null) await takenUp(asking.place, row.thread_id, left())
  }
  const next = (): ApprovalRow | undefined =>
    asked.size >= MAX_ROUNDS ? undefined : questionsOf(asking).find(({ approval_id: id }) => !asked.has(id))
  for (;;) {
    const opened = new AbortController()
    const timeoutMs = next() === undefined ? left() : 0
    const look = (): void => {
      if (next() !== undefined) opened.abort()
    }
    const outcome = await runLooking(asking, { timeoutMs, signals: [opened.signal], look })
    const row = next()
    if (row !== undefined && (outcome.result.success || opened.signal.aborted)) return roundOf(row, [...asked.keys()])
    if (!opened.signal.aborted) return withAsked(asking, outcome, asked)
    // It was answered elsewhere in the same moment; the wait goes on.
  }
}

/** Ends early with the call; the run that follows says so. */
async function pause(ms: number, signals: readonly AbortSignal[]): Promise<null> {
  await delay(ms, null, { ref: false, signal: AbortSignal.any([...signals]) }).catch(() => null)
  return null
}

function roundOf(row: ApprovalRow, asked: readonly string[]): InputRequiredResult {
  return inputRequired({
    inputRequests: { [row.approval_id]: inputRequired.elicit(questionForm(row)) },
    // The client could change it, and would then be asked again, or not asked; it decides nothing else.
    requestState: JSON.stringify({ asked: [...asked, row.approval_id] }),
  })
}

interface LookingRun {
  readonly timeoutMs: number
  readonly signals: readonly AbortSignal[]
  /** Called whenever the registry was written to, or `state` is another. */
  readonly look: () => void
  readonly state?: () => string | undefined
}

async function runLooking({ wait, call, calls, place }: AskingWait, run: LookingRun): Promise<ToolOutcome> {
  const { threads } = place.open
  let seen: string | null = null
  const timer = setInterval(() => {
    try {
      const now = JSON.stringify([threads.version(), run.state?.()])
      if (now === seen) return
      seen = now
      run.look()
    } catch {
      // A registry that cannot be read now may be so at the next look; the call itself says what is wrong.
      seen = null
    }
  }, LOOK_EVERY_MS)
  try {
    return await calls.run({ ...call, given: wait.given(run.timeoutMs), signals: [...call.signals, ...run.signals] })
  } finally {
    clearInterval(timer)
  }
}

function questionsOf({ wait, place }: AskingWait): readonly ApprovalRow[] {
  try {
    return shownQuestions(place.open, wait.threadIds)
  } catch (error) {
    // The call itself says that it is not there.
    if (error instanceof KiwiError && error.code === 'THREAD_NOT_FOUND') return []
    throw error
  }
}

/** What became of the questions, for the model that waits: the user's words are part of it. */
function withAsked({ place }: AskingWait, outcome: ToolOutcome, asked: ReadonlyMap<string, string | null>): ToolOutcome {
  if (asked.size === 0 || !outcome.result.success) return outcome
  const report = [...asked].flatMap(([approvalId, error]): readonly JsonObject[] => {
    const row = rowOrNull(place, approvalId)
    if (row === null) return []
    const { status, answer } = row
    const said = answer === null ? {} : { decision: answer.decision, reason: answer.reason }
    return [{ approval_id: approvalId, status, ...said, ...(error === null ? {} : { error }) }]
  })
  return { ...outcome, result: { ...outcome.result, asked: report } }
}

function rowOrNull({ open }: AnswerPlace, approvalId: string): ApprovalRow | null {
  try {
    return open.threads.approvals.get(approvalId)
  } catch (error) {
    if (error instanceof KiwiError && error.code === 'APPROVAL_NOT_FOUND') return null
    throw error
  }
}

/** The ids in what the client sent back; it may be anything. */
function askedBefore({ mcpReq }: ServerContext): readonly string[] {
  const state: unknown = mcpReq.requestState()
  if (typeof state !== 'string' || state.length > MAX_STATE_CHARACTERS) return []
  try {
    const value: unknown = JSON.parse(state)
    const asked: unknown = typeof value === 'object' && value !== null && 'asked' in value ? value.asked : null
    return Array.isArray(asked) ? asked.filter((id): id is string => typeof id === 'string') : []
  } catch {
    return []
  }
}

function responseTo({ mcpReq }: ServerContext, approvalId: string): unknown {
  const responses: unknown = mcpReq.inputResponses
  if (typeof responses !== 'object' || responses === null || !Object.hasOwn(responses, approvalId)) return null
  return Object.entries(responses).find(([key]) => key === approvalId)?.[1]
}
