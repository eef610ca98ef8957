/**
 * The order of search results.
 *
 * R1. Score: for each word of the query, its rarity times 100, 10 or 1 for a hit in the name, the description or the body. A weight so
 *     large that it saturates BM25 turns "how often, in how long a text" into "whether" for names and descriptions; the body keeps BM25.
 * R2. Equal scores: project, user, system, then id, then type. Nothing depends on row numbers, and so nothing on the order of indexing.
 * R3. Items whose id is the query come first.
 * R4. Scoring costs about a microsecond an item, so only items with one of the rarer words are scored, at most `BUDGET` of them. The other
 *     words count for these, except words in more than `BUDGET` items, which say little. Where every word is as common as that, R1
 *     becomes steps without scores: all words in the name, all words, then any word in the name, the description, the body.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { ItemType, Space } from '../items/item.ts'
import { idWords, queryTerms } from './search-words.ts'

const BUDGET = 2000

export interface RankingFilter {
  readonly type: ItemType | null
  readonly space: Space | null
  readonly limit: number
}

/** One found item, as the index knows it. */
export interface RankedItem {
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

/** Reads what the writer wrote. */
export interface Ranking {
  all(filter: RankingFilter): readonly RankedItem[]
  best(query: string, filter: RankingFilter): readonly RankedItem[]
}

const FILTER = '(:type is null or type = :type) and (:space is null or space = :space)'

export function createRanking(database: DatabaseSync): Ranking {
  const listing = database.prepare(`select *, 0.0 as score from items where ${FILTER} order by id, space_rank, type limit :limit`)
  const named = database.prepare(
    `select *, 1e9 as score from items where id_words = :id_words and ${FILTER} order by space_rank, id, type limit :limit`,
  )
  const scored = database.prepare(`
    select items.*, -(100 * bm25(words, 1e30, 0, 0) + 10 * bm25(words, 0, 1e30, 0) + bm25(words, 0, 0, 1)) as score
    from words join items on items.item = words.rowid
    where words match :match and ${FILTER} order by score desc, space_rank, id, type limit :limit`)
  const few = database.prepare(`
    select items.*, 0.0 as score from words join items on items.item = words.rowid
    where words match :match and ${FILTER} order by space_rank, id, type limit :limit`)
  // The unary plus keeps the items in the order of their index, which ends at the limit, instead of sorting all that match.
  const many = database.prepare(`
    select *, 0.0 as score from items where +item in (select rowid from words where words match :match) and ${FILTER}
    order by space_rank, id, type limit :limit`)
  const counting = database.prepare(
    `select count(*) as found from (select 1 from words where words match :match limit ${BUDGET + 1})`,
  )
  const count = (match: string): number => Number(counting.get({ match })?.['found'] ?? 0)

  const steps = (terms: readonly string[], filter: RankingFilter): readonly RankedItem[] => {
    const hits: RankedItem[] = []
    const everyTerm = terms.join(' AND ')
    const complete = terms.length > 1 ? [`{name} : (${everyTerm})`, everyTerm] : []
    for (const match of [...complete, ...columnSteps(terms.join(' OR '))]) {
      const found = count(match)
      if (found > 0) hits.push(...(found > BUDGET ? many : few).all({ ...filter, match }).map(toHit))
      if (firstOfEach(hits, filter.limit).length === filter.limit) break
    }
    return hits
  }
  return {
    all: (filter) => listing.all({ ...filter }).map(toHit),
    best(query, filter) {
      const terms = queryTerms(query)
      if (terms.length === 0) return []
      const match = scoredExpression(terms.map((term) => ({ term, found: count(term) })))
      const exact = named.all({ ...filter, id_words: idWords(query) }).map(toHit)
      const others = match === null ? steps(terms, filter) : scored.all({ ...filter, match }).map(toHit)
      return firstOfEach([...exact, ...others], filter.limit)
    },
  }
}

interface TermCount {
  readonly term: string
  /** Items that hold it, counted up to one more than `BUDGET`. */
  readonly found: number
}

/** The words by which items are scored (R4); null when even the rarest is in too many items. */
function scoredExpression(counts: readonly TermCount[]): string | null {
  const rare: string[] = []
  const common: string[] = []
  let total = 0
  for (const { term, found } of counts.toSorted((left, right) => left.found - right.found)) {
    total += found
    if (total <= BUDGET) rare.push(term)
    else if (found <= BUDGET) common.push(term)
  }
  if (rare.length === 0) return null
  const anyRare = `(${rare.join(' OR ')})`
  return common.length === 0 ? anyRare : `${anyRare} OR (${anyRare} AND (${common.join(' OR ')}))`
}

function columnSteps(anyTerm: string): readonly string[] {
  return ['name', 'description', 'body'].map((column) => `{${column}} : (${anyTerm})`)
}

/** An item found twice stays where it was found first. */
function firstOfEach(hits: readonly RankedItem[], limit: number): readonly RankedItem[] {
  const byFile = new Map<string, RankedItem>()
  for (const hit of hits) if (!byFile.has(hit.file)) byFile.set(hit.file, hit)
  return [...byFile.values()].slice(0, limit)
}

function toHit(row: Readonly<Record<string, unknown>>): RankedItem {
  const { version } = row
  return {
    // The writer put these values in; the file is private to this user, and its version was checked when it was opened.
    type: row['type'] as ItemType,
    id: String(row['id']),
    space: row['space'] as Space,
    category: String(row['category']),
    description: String(row['description']),
    version: typeof version === 'string' ? version : null,
    file: String(row['file']),
    available: row['available'] === 1,
    score: Number(row['score']),
  }
}
