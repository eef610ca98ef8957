import { KiwiError } from '../../kernel/errors.ts'
import { lineUpTo, newestInLine } from '../chains/line.ts'
import { integer, integerOrNull, text } from '../store/columns.ts'
import type { Row } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'

const UP = `
WITH RECURSIVE up(thread_id, parent_thread_id) AS (
  SELECT thread_id, parent_thread_id FROM threads WHERE thread_id = ?
  UNION ALL
  SELECT t.thread_id, t.parent_thread_id FROM threads t JOIN up ON t.thread_id = up.parent_thread_id
)
SELECT thread_id FROM up`

const LIMITS = 'SELECT thread_id, depth, max_spawns, max_depth, max_live, spawned_below FROM threads WHERE thread_id = ?'

/** Walks up from what is unfinished, because ended threads are many and unfinished ones are few. */
const LIVE_BELOW = `
WITH RECURSIVE live(thread_id) AS (
  SELECT parent_thread_id FROM threads
    WHERE root_thread_id = ? AND parent_thread_id IS NOT NULL AND status IN ('spawning','running','paused','waiting')
  UNION ALL
  SELECT t.parent_thread_id FROM live JOIN threads t ON t.thread_id = live.thread_id WHERE t.parent_thread_id IS NOT NULL
)
SELECT thread_id, COUNT(*) AS count FROM live GROUP BY thread_id`

/**
 * Counts a new child against every thread above it; must run in the spawn's transaction. A limit of 0 forbids. Of a thread that handed its
 * work on, the one that has it now counts for the whole line.
 *
 * @throws {KiwiError} SPAWN_FAILED with the facts limit, max, current, binding_thread_id; retryable for `max_live_spawns` only.
 */
export function takeSpawn(
  store: Store,
  parentThreadId: string,
  child: { readonly depth: number; readonly rootThreadId: string },
): void {
  const ancestors = ancestorsOf(store, parentThreadId)
  // What no waiting can change comes first.
  for (const row of ancestors) assertLasting(row, child.depth)
  assertLive(store, ancestors, child.rootThreadId)
  for (const row of ancestors)
    store.statement('UPDATE threads SET spawned_below = spawned_below + 1 WHERE thread_id = ?').run(text(row, 'thread_id'))
}

/** Nearest first. */
function ancestorsOf(store: Store, parentThreadId: string): readonly Row[] {
  const ids = store.statement(UP).all(parentThreadId)
  return ids.flatMap((row) => store.statement(LIMITS).all(newestInLine(store, text(row, 'thread_id'))))
}

function assertLasting(row: Row, childDepth: number): void {
  const threadId = text(row, 'thread_id')
  const maxSpawns = integerOrNull(row, 'max_spawns')
  const spawned = integer(row, 'spawned_below')
  if (maxSpawns !== null && spawned >= maxSpawns)
    throw refused(threadId, { limit: 'max_spawns', max: maxSpawns, current: spawned })
  const maxDepth = integerOrNull(row, 'max_depth')
  const below = childDepth - integer(row, 'depth')
  if (maxDepth !== null && below > maxDepth) throw refused(threadId, { limit: 'max_depth', max: maxDepth, current: below - 1 })
}

function assertLive(store: Store, ancestors: readonly Row[], rootThreadId: string): void {
  const limited = ancestors.filter((row) => row['max_live'] !== null)
  if (limited.length === 0) return
  const counts = new Map(
    store
      .statement(LIVE_BELOW)
      .all(rootThreadId)
      .map((row) => [text(row, 'thread_id'), integer(row, 'count')]),
  )
  for (const row of limited) {
    const threadId = text(row, 'thread_id')
    const max = integer(row, 'max_live')
    const current = lineUpTo(store, threadId).reduce((sum, id) => sum + (counts.get(id) ?? 0), 0)
    if (current >= max) throw refused(threadId, { limit: 'max_live_spawns', max, current })
  }
}

interface Refusal {
  readonly limit: 'max_spawns' | 'max_depth' | 'max_live_spawns'
  readonly max: number
  readonly current: number
}

function refused(threadId: string, facts: Refusal): KiwiError {
  // No waiting helps against a limit of none.
  const passes = facts.limit === 'max_live_spawns' && facts.max > 0
  return new KiwiError('SPAWN_FAILED', `Thread ${threadId} allows ${facts.limit}=${facts.max} and has ${whatOf(facts)}.`, {
    facts: { binding_thread_id: threadId, ...facts },
    retryable: passes,
    suggestion: passes
      ? 'Wait for some of the threads below it to end, then spawn again.'
      : `Do the work in this thread, or raise ${facts.limit} in the directive of ${threadId}.`,
  })
}

function whatOf({ limit, current }: Refusal): string {
  if (limit === 'max_depth') return `its children at depth ${current} already`
  return limit === 'max_spawns' ? `${current} threads below it already` : `${current} unfinished threads below it`
}

/** Threads spawned below the root of a tree so far, ended ones included. */
export function spawnedInTree(store: Store, rootThreadId: string): number {
  const row = store.statement('SELECT spawned_below FROM threads WHERE thread_id = ?').get(newestInLine(store, rootThreadId))
  return row === undefined ? 0 : integer(row, 'spawned_below')
}
