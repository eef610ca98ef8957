import { lstatSync } from 'node:fs'
import type { Stats } from 'node:fs'
import type { Item, ItemType, Space } from './item.ts'
import { isRacy } from './racy-times.ts'

/**
 * Remembers for a moment what was found, so that a thread which calls the same tools turn after turn does not look through all spaces
 * each time. The file itself is looked at on every question: a change or removal of it is seen at once. What is seen up to `trustMs`
 * late is a file that newly comes before it in the order of spaces, and a package installed or removed.
 */
export interface RecentFinds {
  get(type: ItemType, id: string, source: Space | 'all'): Item | null
  put(type: ItemType, source: Space | 'all', item: Item): void
}

interface Recent {
  readonly item: Item
  /** As the file was when it was found. */
  readonly stats: Stats
  readonly atMs: number
}

/** Far more than the threads of a moment use. */
const MAX_RECENT = 1_000

/** `trustMs` 0 remembers nothing. */
export function createRecentFinds(trustMs: number): RecentFinds {
  const recent = new Map<string, Recent>()
  return {
    get(type, id, source) {
      const found = recent.get(keyOf(type, id, source))
      if (found === undefined || performance.now() - found.atMs >= trustMs) return null
      const stats = steadyStats(found.item.path)
      return stats !== null && isSame(stats, found.stats) ? found.item : null
    },
    put(type, source, item) {
      if (trustMs === 0) return
      const stats = steadyStats(item.path)
      if (stats === null) return
      if (recent.size >= MAX_RECENT) recent.clear()
      recent.set(keyOf(type, item.id, source), { item, stats, atMs: performance.now() })
    },
  }
}

function keyOf(type: ItemType, id: string, source: Space | 'all'): string {
  return `${type}/${source}/${id}`
}

/** Null for what is gone, a link, or changed too shortly ago for its times to tell the next change. */
function steadyStats(path: string): Stats | null {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined || !stats.isFile() || isRacy(stats.mtimeMs, stats.ctimeMs)) return null
  return stats
}

function isSame(one: Stats, other: Stats): boolean {
  return one.size === other.size && one.mtimeMs === other.mtimeMs && one.ctimeMs === other.ctimeMs && one.ino === other.ino
}
