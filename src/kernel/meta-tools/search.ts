import type { Authorize, MetaToolRequest } from '../contract.ts'
import type { ItemStore } from '../items/item-store.ts'
import type { SearchIndex } from '../search/search-index.ts'
import { type MetaTool, permissionMark } from './request.ts'

export interface SearchOptions {
  readonly store: ItemStore
  readonly openIndex: () => SearchIndex
  readonly authorize: Authorize | undefined
}

const DEFAULT_LIMIT = 10
const MAX_DESCRIPTION_CHARS = 300

type SearchHit = ReturnType<SearchIndex['search']>[number]

/** Ranked items. Where a permission port is set, items that it refuses stay in the answer, marked with what is missing. */
export function createSearch({ store, openIndex, authorize }: SearchOptions): MetaTool {
  return async (request: MetaToolRequest, context) => {
    const index = openIndex()
    await index.refresh(store)
    const limit = request.limit ?? DEFAULT_LIMIT
    const hits = index.search({
      query: request.query ?? '',
      ...(request.item_type === undefined ? {} : { type: request.item_type }),
      ...(request.source === undefined ? {} : { source: request.source }),
      // One more than is shown tells whether there is more.
      limit: Math.min(limit + 1, 100),
    })
    const shown = hits.slice(0, limit)
    const results: Readonly<Record<string, unknown>>[] = []
    for (const hit of shown) {
      const question = { itemType: hit.type, itemId: hit.id, category: hit.category }
      results.push(Object.assign(summary(hit), await permissionMark(authorize, question, context)))
    }
    return { success: true, query: request.query ?? '', count: results.length, more: hits.length > limit, results }
  }
}

function summary({
  type,
  id,
  space,
  category,
  description,
  version,
  file,
  available,
  score,
}: SearchHit): Record<string, unknown> {
  const short = description.length > MAX_DESCRIPTION_CHARS ? `${description.slice(0, MAX_DESCRIPTION_CHARS)}…` : description
  return { type, id, space, category, description: short, version, file, available, score: Math.round(score * 1000) / 1000 }
}
