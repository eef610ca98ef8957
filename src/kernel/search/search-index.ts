import type { ItemStore } from '../items/item-store.ts'
import type { ItemType, Space } from '../items/item.ts'

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

export interface SearchHit {
  readonly type: ItemType
  readonly id: string
  readonly space: Space
  readonly category: string
  readonly description: string
  readonly version: string | null
  readonly file: string
  /** False for an item that is listed but cannot be executed. */
  readonly available: boolean
  /** Larger is better; comparable within one answer only. */
  readonly score: number
}

/** Ranked full-text search. The order depends on the items only, never on when or in which order they were indexed. */
export interface SearchIndex {
  /** Brings the index up to date with the store; only entries whose stamp changed are parsed. Cheap when nothing changed. */
  refresh(store: ItemStore): Promise<void>
  search(query: SearchQuery): readonly SearchHit[]
  close(): void
}

export function createSearchIndex(_options: SearchIndexOptions): SearchIndex {
  throw new Error('not built yet')
}
