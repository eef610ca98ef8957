import type { Json, JsonObject } from '../json.ts'
import type { ApprovalRow } from '../threads/approvals/approval.ts'
import { age, clip, fields, table } from './format.ts'
import { terminalJson, visibleText } from './terminal-text.ts'

/** The table of `kiwi approvals`. Titles come from models, so what cannot be seen in them is spelled out. */
export function questionTable(rows: readonly ApprovalRow[], nowMs: number): string {
  return table(
    ['APPROVAL', 'STATUS', 'KIND', 'ENDS IN', 'THREAD', 'WHAT'],
    rows.map((row) => [
      row.approval_id,
      row.status,
      row.kind,
      row.status === 'pending' ? remaining(row.expires_at, nowMs) : '',
      row.thread_id,
      visibleText(row.title),
    ]),
  )
}

const TITLE_WIDTH = 120

/** Open questions as lines of a longer text. */
export function questionLines(rows: readonly ApprovalRow[]): readonly string[] {
  if (rows.length === 0) return []
  return ['', 'questions', ...rows.map(({ approval_id: id, title }) => `  ${id}  ${clip(visibleText(title), TITLE_WIDTH)}`)]
}

/** Everything about one question. Whoever says yes must have seen it all, so nothing is cut, and nothing left out that is not in the diff. */
export function questionText(row: ApprovalRow, nowMs: number): string {
  const { answer } = row
  const by =
    answer === null ? null : answer.by.kind === 'operator' ? `operator (${answer.by.door})` : `thread ${answer.by.thread_id}`
  const head = fields([
    ['approval', row.approval_id],
    ['status', row.status],
    ['kind', row.kind],
    ['what', visibleText(row.title)],
    ['thread', row.thread_id],
    ['directive', row.directive_id],
    ['asked', row.requested_at],
    ['ends', row.status === 'pending' ? `${row.expires_at} (in ${remaining(row.expires_at, nowMs)})` : null],
    ['ended', row.status === 'expired' ? row.expires_at : null],
    ['answered', row.answered_at],
    ['by', by],
    ['answer', answer?.decision ?? null],
    ['reason', answer === null || answer.reason === '' ? null : visibleText(answer.reason)],
  ])
  const facts = answer === null ? [] : subjectBlocks(answer.facts)
  return [head, ...subjectBlocks(toRead(row)), ...facts, ...howTo(row)].join('\n\n')
}

/** The diff is what is read of a proposed file, and shows every line that is new to somebody; the file as a whole is in the JSON. */
function toRead({ kind, subject }: ApprovalRow): JsonObject {
  const { content: _content, ...rest } = subject
  return kind === 'change' && typeof subject['diff'] === 'string' ? rest : subject
}

/** Short values in one block, then each longer one under its name. */
function subjectBlocks(subject: JsonObject): readonly string[] {
  const known = Object.entries(subject).filter(([, value]) => value !== null && value !== '')
  const short = known.filter(([, value]) => !isLong(value))
  const long = known.filter(([, value]) => isLong(value))
  return [
    ...(short.length === 0 ? [] : [fields(short.map(([name, value]) => [name, shown(value)]))]),
    ...long.map(([name, value]) => `${visibleText(name)}\n${indented(shown(value))}`),
  ]
}

function isLong(value: Json): boolean {
  return typeof value === 'string' ? value.includes('\n') : typeof value === 'object'
}

function shown(value: Json): string {
  return typeof value === 'string' ? visibleText(value) : terminalJson(value)
}

function indented(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}

function howTo({ approval_id: id, kind, status }: ApprovalRow): readonly string[] {
  if (status !== 'pending') return []
  const forThread = kind === 'tool' ? ' [--for-thread]' : ''
  const amounts = kind === 'budget' ? ' [--add-usd N] [--add-turns N]' : ''
  return [`Yes: kiwi approve ${id}${forThread}${amounts}\nNo:  kiwi deny ${id} [--reason TEXT]`]
}

function remaining(iso: string, nowMs: number): string {
  // `age` counts what has passed; the time left is the same the other way round.
  return age(new Date(nowMs).toISOString(), Math.max(nowMs, Date.parse(iso)))
}
