import { KiwiError } from '../../kernel/errors.ts'
import type { Continues, EndReason, Status, StoredMessage, WaitReason } from '../engine.ts'
import type { ThreadEventRow, ThreadQuery, ThreadRow } from '../threads-client.ts'
import { integer, json, jsonObject, text, textOrNull } from './columns.ts'
import type { Row } from './columns.ts'
import type { Store } from './open-store.ts'

/** Where a thread's transcript is, relative to the project. `threadId` must be a valid id. */
export function transcriptPath(threadId: string): string {
  return `.ai/threads/${threadId}/transcript.jsonl`
}

/** @throws {KiwiError} THREAD_NOT_FOUND */
export function getThread(store: Store, threadId: string): ThreadRow {
  const row = store.statement('SELECT * FROM threads WHERE thread_id = ?').get(threadId)
  if (row === undefined) throw threadNotFound(threadId)
  return toThreadRow(row)
}

/** What a waiter looks at, without the rest of the row. @throws {KiwiError} THREAD_NOT_FOUND */
export function statusAndReason(store: Store, threadId: string): Pick<ThreadRow, 'status' | 'wait_reason'> {
  const row = store.statement('SELECT status, wait_reason FROM threads WHERE thread_id = ?').get(threadId)
  if (row === undefined) throw threadNotFound(threadId)
  return statusColumns(row)
}

function statusColumns(row: Row): Pick<ThreadRow, 'status' | 'wait_reason'> {
  // The table checks the first, and the engine alone writes the second.
  return { status: text(row, 'status') as Status, wait_reason: textOrNull(row, 'wait_reason') as WaitReason | null }
}

export function threadNotFound(threadId: string): KiwiError {
  return new KiwiError('THREAD_NOT_FOUND', `No thread ${threadId.slice(0, 256)} is in this project's registry.`, {
    facts: { thread_id: threadId.slice(0, 256) },
    suggestion: 'List the threads of the project with "kiwi ps".',
  })
}

const ORDERS: Readonly<Record<NonNullable<ThreadQuery['order_by']>, string>> = {
  created_at: 'created_at, registry_id',
  created_at_desc: 'created_at DESC, registry_id DESC',
  updated_at: 'updated_at, registry_id',
  updated_at_desc: 'updated_at DESC, registry_id DESC',
}

/** Newest first unless `order_by` says otherwise. @throws {KiwiError} INVALID_REQUEST for a limit or an order that does not exist. */
export function listThreads(store: Store, query: ThreadQuery): readonly ThreadRow[] {
  const limit = query.limit ?? 100
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new KiwiError('INVALID_REQUEST', `Expected limit to be an integer from 1 to 1000, got ${String(query.limit)}.`)
  }
  const order = Object.hasOwn(ORDERS, query.order_by ?? 'created_at_desc')
    ? ORDERS[query.order_by ?? 'created_at_desc']
    : undefined
  if (order === undefined)
    throw new KiwiError(
      'INVALID_REQUEST',
      `Expected order_by to be one of ${Object.keys(ORDERS).join(', ')}, got ${String(query.order_by)}.`,
    )
  const conditions: string[] = []
  const values: string[] = []
  const add = (condition: string, ...given: readonly (string | undefined)[]): void => {
    const known = given.filter((value) => value !== undefined)
    if (known.length === 0) return
    conditions.push(condition)
    values.push(...known)
  }
  add('directive_id = ?', query.directive_id)
  add('status = ?', query.status)
  add('parent_thread_id = ?', query.parent_thread_id)
  add('root_thread_id = ?', query.root_thread_id)
  // The first of a chain has no chain id of its own; both sides have an index.
  add('(chain_id = ? OR (thread_id = ? AND chain_id IS NULL))', query.chain_id, query.chain_id)
  add('created_at > ?', query.created_after)
  add('created_at < ?', query.created_before)
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  return store
    .statement(`SELECT * FROM threads${where} ORDER BY ${order} LIMIT ?`)
    .all(...values, limit)
    .map(toThreadRow)
}

export function listEvents(
  store: Store,
  threadId: string,
  range: { readonly sinceSeq: number; readonly limit: number; readonly last?: number; readonly type?: string },
): readonly ThreadEventRow[] {
  const typed = range.type === undefined ? '' : ' AND event_type = ?'
  const order = range.last === undefined ? 'seq' : 'seq DESC'
  const rows = store
    .statement(`SELECT * FROM thread_events WHERE thread_id = ? AND seq > ?${typed} ORDER BY ${order} LIMIT ?`)
    .all(threadId, range.sinceSeq, ...(range.type === undefined ? [] : [range.type]), range.last ?? range.limit)
  return (range.last === undefined ? rows : rows.toReversed()).map(toEventRow)
}

/** Events are numbered in the order of their commits, whoever wrote them. */
export function threadsLoggedSince(
  store: Store,
  eventId: number,
): { readonly threadIds: readonly string[]; readonly newest: number } {
  const [newest] = store.statement('SELECT COALESCE(MAX(id), 0) AS id FROM thread_events').all()
  const rows = store.statement('SELECT DISTINCT thread_id FROM thread_events WHERE id > ?').all(eventId)
  return { threadIds: rows.map((row) => text(row, 'thread_id')), newest: newest === undefined ? 0 : integer(newest, 'id') }
}

export function listMessages(
  store: Store,
  threadId: string,
  range: { readonly sinceSeq: number; readonly limit: number },
): readonly StoredMessage[] {
  const rows = store
    .statement('SELECT seq, turn, role, content_json FROM messages WHERE thread_id = ? AND seq > ? ORDER BY seq LIMIT ?')
    .all(threadId, range.sinceSeq, range.limit)
  return rows.map(toMessage)
}

export function toMessage(row: Row): StoredMessage {
  // Only `NewMessage.role` is ever written to this column.
  const role = text(row, 'role') as StoredMessage['role']
  return { seq: integer(row, 'seq'), turn: integer(row, 'turn'), role, content: json(row, 'content_json') }
}

function toEventRow(row: Row): ThreadEventRow {
  return {
    id: integer(row, 'id'),
    thread_id: text(row, 'thread_id'),
    seq: integer(row, 'seq'),
    ts: text(row, 'ts'),
    event_type: text(row, 'event_type'),
    payload: jsonObject(row, 'payload_json'),
  }
}

function toThreadRow(row: Row): ThreadRow {
  const threadId = text(row, 'thread_id')
  return {
    thread_id: threadId,
    registry_id: integer(row, 'registry_id'),
    directive_id: text(row, 'directive_id'),
    harness: text(row, 'harness'),
    parent_thread_id: textOrNull(row, 'parent_thread_id'),
    root_thread_id: text(row, 'root_thread_id'),
    depth: integer(row, 'depth'),
    ...statusColumns(row),
    // These two columns hold only values of their types: the engine alone writes the first, the spawn the second.
    end_reason: textOrNull(row, 'end_reason') as EndReason | null,
    guarantee: text(row, 'guarantee') as 'hard' | 'advisory',
    created_at: text(row, 'created_at'),
    updated_at: text(row, 'updated_at'),
    ended_at: textOrNull(row, 'ended_at'),
    turn: integer(row, 'turn'),
    result: row['result_json'] === null ? null : json(row, 'result_json'),
    total_usage: jsonObject(row, 'total_usage_json'),
    cost_budget: jsonObject(row, 'cost_budget_json'),
    permission_context: jsonObject(row, 'permission_context_json'),
    transcript_path: transcriptPath(threadId),
    chain_id: textOrNull(row, 'chain_id') ?? threadId,
    continues: continuesOf(row),
    continued_by: textOrNull(row, 'continued_by'),
    on_parent_end: text(row, 'on_parent_end') === 'detach' ? 'detach' : 'cancel',
  }
}

function continuesOf(row: Row): ThreadRow['continues'] {
  const threadId = textOrNull(row, 'continues_thread_id')
  // The spawn alone writes both columns, from a `Continues`.
  return threadId === null ? null : { thread_id: threadId, how: text(row, 'continues_how') as Continues['how'] }
}
