import type { Json, JsonObject } from '../../json.ts'
import type { ThreadRow, ThreadsClient } from '../../threads/threads-client.ts'
import { questionLines } from '../approval-text.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { clip, dollars, fields, numberIn, widthOf } from '../format.ts'
import { eventLine, missingOf, resultText, saidIn, statusOf, tokensOf } from '../thread-text.ts'

const LAST_EVENTS = 10
const MOST_DENIALS = 20
const MOST_RELATED = 50

/**
 * `kiwi show ID`: everything about one thread in one screen; JSON is the registry row with `capabilities`, `children`, `chain`,
 * `allowed_actions`, `approvals`, `denials` and `events`.
 */
export async function show(context: CliContext, threadId: string): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) => {
    const threads = kiwi.threads(context.projectPath)
    const row = threads.get(threadId)
    const events = threads.events(threadId, { last: LAST_EVENTS })
    const denials = deniedCalls(threads, threadId)
    const width = widthOf(process.stdout, 160)
    const { allowedActions } = await import('../../harness/safety/interventions/allowed-actions.ts')
    const allowed = allowedActions(threads, row, { kind: 'operator', by: { kind: 'operator', door: 'cli' } })
    const children = threads.list({ parent_thread_id: threadId, order_by: 'created_at', limit: MOST_RELATED })
    const chain = threads.list({ chain_id: row.chain_id, order_by: 'created_at', limit: MOST_RELATED })
    const questions = threads.approvals.list({ root_thread_id: threadId, status: 'pending', limit: MOST_RELATED })
    const family = {
      children: children.map(relative),
      chain: chain.map(relative),
      allowed_actions: allowed,
      approvals: questions,
    }
    context.output.data({ ...row, capabilities: capabilitiesOf(row), ...family, denials, events }, () =>
      [
        rowText(row, allowed),
        ...relatedLines('children', children),
        ...relatedLines('chain', chain.length > 1 ? chain : []),
        ...questionLines(questions),
        ...capabilityLines(row),
        ...denialLines(denials, width),
        '',
        'last events',
        ...events.map((event) => `  ${eventLine(event, width - 2, saidIn(threads, event))}`),
        ...resultLines(row),
      ].join('\n'),
    )
    return EXIT.ok
  })
}

function rowText(row: ThreadRow, allowed: readonly string[]): string {
  const usage = row.total_usage
  return fields([
    ['thread', row.thread_id],
    ['directive', row.directive_id],
    ['status', statusOf(row)],
    ['turns', String(row.turn)],
    ['tokens', `${tokensOf(usage)} (${usageText(usage)})`],
    ['cost', dollars(numberIn(usage, 'cost_nano'))],
    ['budget', `${JSON.stringify(row.cost_budget)}, ${row.guarantee}`],
    [
      'parent',
      row.parent_thread_id === null ? null : `${row.parent_thread_id}${row.on_parent_end === 'detach' ? ' (detached)' : ''}`,
    ],
    ['root', row.root_thread_id === row.thread_id ? null : row.root_thread_id],
    ['continues', row.continues === null ? null : `${row.continues.thread_id} (${row.continues.how})`],
    ['continued', row.continued_by],
    ['can be', allowed.join(', ')],
    ['created', row.created_at],
    ['updated', row.updated_at],
    ['ended', row.ended_at],
    ['transcript', row.transcript_path],
  ])
}

/** Another thread of the family, in short. */
function relative({ thread_id, directive_id, status, end_reason, wait_reason, continues, on_parent_end }: ThreadRow): JsonObject {
  return { thread_id, directive_id, status, end_reason, wait_reason, continues, on_parent_end }
}

function relatedLines(title: string, rows: readonly ThreadRow[]): readonly string[] {
  if (rows.length === 0) return []
  return [
    '',
    title,
    ...rows.map((row) => {
      const how = row.continues === null ? '' : `  ${row.continues.how} of ${row.continues.thread_id}`
      return `  ${row.thread_id}  ${statusOf(row)}${row.on_parent_end === 'detach' ? '  detached' : ''}${how}`
    }),
  ]
}

/** What the thread's token grants, by capability. */
function capabilitiesOf({ permission_context: context }: ThreadRow): JsonObject {
  const grants = context['grants']
  return isObject(grants) && isObject(grants['capabilities']) ? grants['capabilities'] : {}
}

function capabilityLines(row: ThreadRow): readonly string[] {
  const entries = Object.entries(capabilitiesOf(row))
  if (entries.length === 0) return ['', 'capabilities', '  none']
  return ['', 'capabilities', ...entries.map(([name, value]) => `  ${name.padEnd(18)} ${scopesText(value)}`.trimEnd())]
}

function scopesText(scopes: Json): string {
  return Array.isArray(scopes) ? scopes.map((scope) => JSON.stringify(scope)).join(', ') : ''
}

type Denial = { readonly ts: string; readonly tool: string; readonly missing: string; readonly suggestion: Json }

/** Newest last. */
function deniedCalls(threads: ThreadsClient, threadId: string): readonly Denial[] {
  return threads.events(threadId, { type: 'permission_denied', last: MOST_DENIALS }).map(({ ts, payload }) => ({
    ts,
    tool: typeof payload['tool'] === 'string' ? payload['tool'] : '',
    missing: missingOf(payload),
    suggestion: payload['suggestion'] ?? null,
  }))
}

function denialLines(denials: readonly Denial[], width: number): readonly string[] {
  if (denials.length === 0) return []
  return [
    '',
    'denied',
    ...denials.map(({ ts, tool, missing }) => `  ${clip(`${ts.slice(11, 19)}  ${tool}: ${missing}`, width - 2)}`),
  ]
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function usageText(usage: ThreadRow['total_usage']): string {
  const cached = numberIn(usage, 'cache_read')
  const written = numberIn(usage, 'cache_write_5m') + numberIn(usage, 'cache_write_1h')
  const output = numberIn(usage, 'output') + numberIn(usage, 'reasoning')
  return `input ${numberIn(usage, 'input_uncached')}, cache read ${cached}, cache write ${written}, output ${output}`
}

function resultLines(row: ThreadRow): readonly string[] {
  const text = resultText(row.result)
  return text === '' ? [] : ['', 'result', text]
}
