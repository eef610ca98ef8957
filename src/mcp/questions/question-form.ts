import type { ElicitRequestFormParams } from '@modelcontextprotocol/server'
import type { Json, JsonObject } from '../../json.ts'
import type { ApprovalDecision, ApprovalKind, ApprovalRow } from '../../threads/approvals/approval.ts'
import { type CutText, cutText, visibleLine, visibleText } from './visible-text.ts'

/** What somebody said to a question; ready for `answer_approval`. */
export interface FormAnswer {
  readonly decision: ApprovalDecision
  readonly reason: string
  /** What a budget is raised by, where it is not what the thread asks for. */
  readonly amounts: JsonObject
}

const TITLE_CHARACTERS = 1_000
const FACT_CHARACTERS = 4_000
const ALL_FACTS_CHARACTERS = 8_000
const DIFF_CHARACTERS = 16_000
const REASON_CHARACTERS = 2_000

/**
 * The form that puts a question to the user: what exactly, and what follows from each answer. All that comes from a model stands quoted,
 * with hidden characters made visible. A change of an item whose difference is too long to be shown whole can only be denied here.
 */
export function questionForm(row: ApprovalRow): ElicitRequestFormParams {
  const { lines, isCut } = quotedParts(row)
  const decisions = decisionsOf(row, isCut)
  const message = [
    `${HEADS[row.kind]} (thread ${row.thread_id} of ${visibleLine(row.directive_id)})`,
    ...(isCut ? [decisions.length > 1 ? CUT : CUT_CHANGE] : []),
    ...lines,
    ...consequences(row, decisions),
    `Until ${row.expires_at}; no answer is a no. Id: ${visibleLine(row.approval_id)}`,
  ].join('\n')
  const properties: ElicitRequestFormParams['requestedSchema']['properties'] = {
    decision: { type: 'string', title: 'Decision', enum: [...decisions] },
    ...amountFields(row),
    reason: { type: 'string', title: 'Reason', description: 'May be empty. The thread is told.', maxLength: REASON_CHARACTERS },
  }
  return { mode: 'form', message, requestedSchema: { type: 'object', properties, required: ['decision'] } }
}

/** What a client's response to the form says; null where nobody decided, or not as the form asked. */
export function formAnswer(row: ApprovalRow, response: unknown): FormAnswer | null {
  if (!isObject(response)) return null
  if (response['action'] === 'decline') return { decision: 'deny', reason: 'declined by the user', amounts: {} }
  if (response['action'] !== 'accept' || !isObject(response['content'])) return null
  const { decision: given, reason, ...others } = response['content']
  const decision = decisionsOf(row, quotedParts(row).isCut).find((offered) => offered === given)
  if (decision === undefined) return null
  const amounts = Object.keys(amountFields(row)).flatMap((name) => {
    const amount = others[name]
    return typeof amount === 'number' && amount > 0 ? [[name, amount] as const] : []
  })
  return {
    decision,
    reason: typeof reason === 'string' ? reason.trim().slice(0, REASON_CHARACTERS).toWellFormed() : '',
    amounts: decision === 'deny' ? {} : Object.fromEntries(amounts),
  }
}

const HEADS: Readonly<Record<ApprovalKind, string>> = {
  tool: 'A thread asks: may it run this tool?',
  escalation: 'A thread asks for help.',
  stuck: 'A thread makes no progress. May it go on?',
  budget: 'A thread has reached a limit. May it go on with more?',
  loop: 'A thread repeats itself. May it go on?',
  change: 'A thread asks you to sign this with your key.',
}

const CUT = 'NOT ALL OF IT IS SHOWN HERE. Read the rest before you agree: execute list_approvals.'
const CUT_CHANGE =
  'NOT ALL OF IT IS SHOWN HERE, so it can only be denied here. Read it whole with list_approvals, and answer with answer_approval.'

/** For the whole thread only what happens again can be approved: calls of the tool. */
function decisionsOf({ kind }: ApprovalRow, isCut: boolean): readonly ApprovalDecision[] {
  if (kind === 'change' && isCut) return ['deny']
  return kind === 'tool' ? ['approve_once', 'approve_thread', 'deny'] : ['approve_once', 'deny']
}

function consequences({ kind, subject }: ApprovalRow, decisions: readonly ApprovalDecision[]): readonly string[] {
  if (decisions.length === 1) return ['deny: the change is not made.']
  switch (kind) {
    case 'tool':
      return ['approve_once: this call runs. approve_thread: every call of this tool by this thread runs. deny: it does not run.']
    case 'budget':
      return [`approve_once: it goes on and gets ${amountsText(subject['ask'])}. deny: it ends at its limit.`]
    case 'change':
      return ['approve_once: it is written and signed with your key. deny: nothing is changed.']
    case 'loop':
      return ['approve_once: it goes on. deny: it is cancelled.']
    case 'escalation':
    case 'stuck':
      return ['approve_once: it goes on with what you write as the reason. deny: it goes on without help.']
  }
}

function amountsText(ask: Json | undefined): string {
  const parts = isObject(ask) ? AMOUNTS.filter(([name]) => Object.hasOwn(ask, name)) : []
  if (!isObject(ask) || parts.length === 0) return 'what you give it'
  return parts.map(([name, title]) => `${title.toLowerCase()}: ${JSON.stringify(ask[name])}`).join(', ')
}

/** What the tool that answers can add. */
const AMOUNTS: readonly (readonly [string, string])[] = [
  ['add_turns', 'More turns'],
  ['add_tokens', 'More tokens'],
  ['add_tool_calls', 'More tool calls'],
  ['add_seconds', 'More seconds'],
  ['add_usd', 'More dollars'],
]

function amountFields({ kind, subject }: ApprovalRow): ElicitRequestFormParams['requestedSchema']['properties'] {
  const { ask } = subject
  if (kind !== 'budget' || !isObject(ask)) return {}
  const description = 'Only where it is to be another amount than the thread asks for.'
  return Object.fromEntries(
    AMOUNTS.filter(([name]) => Object.hasOwn(ask, name)).map(([name, title]) => [
      name,
      { type: name === 'add_usd' ? ('number' as const) : ('integer' as const), title, description, minimum: 0 },
    ]),
  )
}

/** For programs, or said elsewhere in the form; the whole content of a changed item stands in the difference. */
const UNQUOTED: ReadonlySet<string> = new Set([
  'diff',
  'thread',
  'directive',
  'args_hash',
  'sha256',
  'base_sha256',
  'action',
  'ask',
])

/** The title, the facts and the difference, each line marked as quoted. */
function quotedParts({ kind, title, subject }: ApprovalRow): { readonly lines: readonly string[]; readonly isCut: boolean } {
  const diff = typeof subject['diff'] === 'string' && subject['diff'] !== '' ? subject['diff'] : null
  const facts = Object.entries(subject).filter(
    ([name, value]) => value !== null && !UNQUOTED.has(name) && !(kind === 'change' && name === 'content') && !isEmpty(value),
  )
  const parts: readonly CutText[] = [
    cutText(visibleLine(title), TITLE_CHARACTERS),
    ...factTexts(facts),
    ...(diff === null ? [] : [cutText(visibleText(diff), DIFF_CHARACTERS)]),
  ]
  return {
    lines: parts.flatMap(({ text }) => text.replace(/\n$/, '').split('\n')).map((line) => `| ${line}`),
    isCut: parts.some(({ isCut }) => isCut),
  }
}

/** As many as fit. */
function factTexts(facts: readonly (readonly [string, Json])[]): readonly CutText[] {
  let left = ALL_FACTS_CHARACTERS
  const texts: CutText[] = []
  for (const [name, value] of facts) {
    if (left <= 0) return [...texts, { text: `(${facts.length - texts.length} more facts)`, isCut: true }]
    const shown = cutText(factText(name, value), Math.min(left, FACT_CHARACTERS))
    left -= shown.text.length
    texts.push(shown)
  }
  return texts
}

function factText(name: string, value: Json): string {
  return `${visibleLine(name)}: ${typeof value === 'string' ? visibleLine(value) : visibleText(JSON.stringify(value, null, 1))}`
}

function isEmpty(value: Json): boolean {
  return value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
