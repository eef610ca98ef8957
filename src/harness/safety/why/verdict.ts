import type { Json, JsonObject } from '../../../json.ts'
import type { ApprovalRow } from '../../../threads/approvals/approval.ts'
import { isTerminal } from '../../../threads/status.ts'
import type { ThreadRow } from '../../../threads/threads-client.ts'
import type { BudgetLine } from './budget-lines.ts'
import type { HookRun } from './hook-runs.ts'

/** What is known of a thread besides its row. Each list is in the order in which it happened. */
export interface Evidence {
  readonly denials: readonly JsonObject[]
  readonly questions: readonly ApprovalRow[]
  readonly budget: readonly BudgetLine[]
  readonly hooks: readonly HookRun[]
  readonly checks: readonly JsonObject[]
  readonly interventions: readonly JsonObject[]
  readonly handoffs: readonly JsonObject[]
}

/** Why a thread is where it is, in a sentence or two: what ended it first, then who or what was behind that. */
export function verdictOf(row: ThreadRow, evidence: Evidence): string {
  if (!isTerminal(row.status)) return openVerdict(row, evidence)
  return row.status === 'completed'
    ? completedVerdict(row, evidence)
    : [failedVerdict(row, evidence), ...behind(row, evidence)].join(' ')
}

function openVerdict(row: ThreadRow, { questions, hooks, interventions }: Evidence): string {
  if (row.status === 'paused') return done('It is paused', interventions, 'pause')
  const open = questions.find(({ status }) => status === 'pending')
  if (open !== undefined) return `It waits for an answer to ${open.approval_id} until ${open.expires_at}: ${open.title}`
  const asked = hooks.at(-1)
  if (row.status === 'waiting' && asked?.answer === null)
    return `It waits for the hook ${asked.directive} on thread ${asked.thread_id}, which was asked about ${asked.event} (${asked.code}).`
  if (row.status === 'waiting') return `It waits (${row.wait_reason ?? 'unknown'}).`
  return `It is ${row.status}, in turn ${row.turn + 1}.`
}

function completedVerdict(row: ThreadRow, { denials }: Evidence): string {
  if (row.continued_by !== null) return `It handed its work on to ${row.continued_by}.`
  if (denials.length === 0) return 'It completed.'
  const calls = denials.length === 1 ? 'a call was' : `${denials.length} calls were`
  return `It completed, although ${calls} denied: ${missingOf(denials)}.`
}

function failedVerdict(row: ThreadRow, { denials, budget, interventions }: Evidence): string {
  const message = messageIn(row.result)
  const reason = row.end_reason ?? row.status
  const told = message === null ? '' : `: ${message}`
  if (row.end_reason === 'permission_denied') return `It ended with permission_denied${told} It lacked ${missingOf(denials)}.`
  if (message === null && row.end_reason === 'cancelled') return done('It was cancelled', interventions, 'cancel')
  const reached = budget.find(({ reached: isReached }) => isReached)
  if (message === null && reached !== undefined)
    return `It ended with ${reason}: ${reached.limit} is reached, ${reached.used} of ${reached.max}.`
  return `It ended with ${reason}${told === '' ? '.' : told}`
}

/** What the message of the end does not name. */
function behind(row: ThreadRow, { hooks, checks, handoffs }: Evidence): readonly string[] {
  const hook = hooks.at(-1)
  const kept = handoffs.at(-1)
  return [
    ...(row.end_reason === 'check_failed'
      ? checks.map(({ check, detail }) => sentence(`${textOf(check)}: ${textOf(detail)}`))
      : []),
    ...(hook !== undefined && hasEndedIt(hook) ? [hookVerdict(hook, messageIn(row.result) ?? '')] : []),
    ...(row.end_reason === 'context_exceeded' && kept?.['action'] === 'given_up'
      ? [`It could not hand its work on: ${textOf(kept['reason'])}`]
      : []),
  ]
}

function hasEndedIt({ answer, outcome }: HookRun): boolean {
  return answer === 'fail' || answer === 'abort' || outcome === 'ended'
}

/** What the hook said stands in the message of the end already, mostly. */
function hookVerdict({ directive, thread_id: id, event, code, answer, message }: HookRun, told: string): string {
  const which = ['The hook', directive, id === null ? null : `(thread ${id})`].filter((part) => part !== null).join(' ')
  const said = answer === 'failed' ? 'gave no answer' : `said ${answer}`
  return `${which} ${said} about ${event} (${code})${message === null || told.includes(message) ? '.' : `: ${message}`}`
}

/** Who did that to the thread last, and why. */
function done(what: string, interventions: readonly JsonObject[], action: string): string {
  const last = interventions.findLast((intervention) => intervention['action'] === action)
  if (last === undefined) return `${what}.`
  const { by, reason, because_of: cause } = last
  const together = typeof cause === 'string' ? `, with thread ${cause}` : ''
  return `${what} by ${actorText(by)}${together}${typeof reason === 'string' ? `: ${reason}` : '.'}`
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`
}

function actorText(by: Json | undefined): string {
  if (typeof by !== 'object' || by === null || Array.isArray(by)) return 'somebody'
  // Neither null nor an array, so an object.
  const { kind, door, thread_id: threadId } = by as JsonObject
  return kind === 'thread' ? `thread ${textOf(threadId)}` : `the operator (${textOf(door)})`
}

/** What the denied calls lacked, each once. */
function missingOf(denials: readonly JsonObject[]): string {
  const missing = denials.flatMap(({ missing: list }) => (Array.isArray(list) ? list.map(String) : []))
  return missing.length === 0 ? 'what it tried' : [...new Set(missing)].join(', ')
}

function messageIn(result: Json): string | null {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) return null
  const { message, error } = result as JsonObject
  if (typeof message === 'string') return message
  return error === undefined ? null : messageIn(error)
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}
