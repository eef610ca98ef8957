import type { ItemStore } from '../items/item-store.ts'
import type { ItemType, Space } from '../items/item.ts'
import { openIndexDatabase } from './index-database.ts'
import { createIndexWriter } from './index-writer.ts'
import { createRanking } from './ranking.ts'
import type { RankedItem } from './ranking.ts'

const DEFAULT_LIMIT = 10
const MAX_LIMIT = 100
/** Answers that are kept while nothing changes: agents of one project ask alike. */
const MAX_ANSWERS = 200
const MAX_KEPT_QUERY_CHARS = 300

export interface SearchIndexOptions {
  /** A private file that keeps the index between processes; null keeps it in memory. A file that cannot be used is rebuilt. */
  readonly indexPath: string | null
}

export interface SearchQuery {
  /** Plain words; nothing in it is an operator. Empty lists everything by id. */
  readonly query: string
  readonly type?: ItemType
  readonly source?: Space | 'all'
  /** Default 10, at most 100. */
  readonly limit?: number
}

/** One found item. */
export type SearchHit = RankedItem

/** Ranked full-text search. The order depends on the items only, never on when or in which order they were indexed. */
export interface SearchIndex {
  /** Brings the index up to date with the store; only entries whose stamp changed are parsed. Cheap when nothing changed. */
  refresh(store: ItemStore): Promise<void>
  search(query: SearchQuery): readonly SearchHit[]
  close(): void
}

/** Opens (or makes) the index; nothing is indexed before the first `refresh`. */
export function createSearchIndex(options: SearchIndexOptions): SearchIndex {
  const database = openIndexDatabase(options.indexPath)
  const writer = createIndexWriter(database)
  const ranking = createRanking(database)
  let seenRevision: number | null = null
  let running: Promise<void> = Promise.resolve()
  const answers = new Map<string, readonly SearchHit[]>()
  return {
    refresh(store) {
      const update = async (): Promise<void> => {
        const revision = await store.revision()
        if (revision === seenRevision) return
        await writer.update(store)
        answers.clear()
        seenRevision = revision
      }
      // One at a time: two would parse the same files twice.
      const result = running.then(update)
      running = result.catch(() => undefined)
      return result
    },
    search({ query, type, source, limit }) {
      const filter = {
        type: type ?? null,
        space: source === undefined || source === 'all' ? null : source,
        limit: clampLimit(limit),
      }
      const key = JSON.stringify([query, filter])
      const known = answers.get(key)
      if (known !== undefined) return known
      const hits = query.trim() === '' ? ranking.all(filter) : ranking.best(query, filter)
      if (query.length > MAX_KEPT_QUERY_CHARS) return hits
      // The oldest answer makes room.
      if (answers.size >= MAX_ANSWERS) answers.delete(answers.keys().next().value ?? '')
      answers.set(key, hits)
      return hits
    },
    close: () => database.close(),
  }
}

function clampLimit(limit: number | undefined): number {
  if (limit === undefined || !Number.isFinite(limit)) return DEFAULT_LIMIT
  return Math.min(Math.max(Math.trunc(limit), 1), MAX_LIMIT)
}
