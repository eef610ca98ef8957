import { KiwiError } from '../../kernel/errors.ts'
import { integer, integerOrNull, text } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'

const ANCESTORS = `
WITH RECURSIVE up(thread_id, parent_thread_id, depth, max_spawns, max_depth, spawned_below) AS (
  SELECT thread_id, parent_thread_id, depth, max_spawns, max_depth, spawned_below FROM threads WHERE thread_id = ?
  UNION ALL
  SELECT t.thread_id, t.parent_thread_id, t.depth, t.max_spawns, t.max_depth, t.spawned_below FROM threads t JOIN up ON t.thread_id = up.parent_thread_id
)
SELECT thread_id, depth, max_spawns, max_depth, spawned_below FROM up`

/**
 * Counts a new child against every thread above it; must run in the spawn's transaction. A limit of 0 forbids.
 *
 * @throws {KiwiError} SPAWN_FAILED with the facts limit, max, current, binding_thread_id.
 */
export function takeSpawn(store: Store, parentThreadId: string, childDepth: number): void {
  const ancestors = store.statement(ANCESTORS).all(parentThreadId)
  for (const row of ancestors) {
    const threadId = text(row, 'thread_id')
    const maxSpawns = integerOrNull(row, 'max_spawns')
    const spawned = integer(row, 'spawned_below')
    if (maxSpawns !== null && spawned >= maxSpawns)
      throw refused(threadId, { limit: 'max_spawns', max: maxSpawns, current: spawned })
    const maxDepth = integerOrNull(row, 'max_depth')
    const below = childDepth - integer(row, 'depth')
    if (maxDepth !== null && below > maxDepth) throw refused(threadId, { limit: 'max_depth', max: maxDepth, current: below - 1 })
  }
  for (const row of ancestors)
    store.statement('UPDATE threads SET spawned_below = spawned_below + 1 WHERE thread_id = ?').run(text(row, 'thread_id'))
}

function refused(
  threadId: string,
  facts: { readonly limit: 'max_spawns' | 'max_depth'; readonly max: number; readonly current: number },
): KiwiError {
  const what =
    facts.limit === 'max_spawns' ? `${facts.current} threads below it already` : `its children at depth ${facts.current} already`
  return new KiwiError('SPAWN_FAILED', `Thread ${threadId} allows ${facts.limit}=${facts.max} and has ${what}.`, {
    facts: { binding_thread_id: threadId, ...facts },
    suggestion: `Do the work in this thread, or raise ${facts.limit} in the directive of ${threadId}.`,
  })
}

/** Threads spawned below the root of a tree so far, ended ones included. */
export function spawnedInTree(store: Store, rootThreadId: string): number {
  const row = store.statement('SELECT spawned_below FROM threads WHERE thread_id = ?').get(rootThreadId)
  return row === undefined ? 0 : integer(row, 'spawned_below')
}
