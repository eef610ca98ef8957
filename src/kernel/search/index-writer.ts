import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { ItemEntry, ItemStore } from '../items/item-store.ts'
import type { Item, Space } from '../items/item.ts'
import { inTransaction } from './index-database.ts'
import { itemText } from './item-text.ts'
import { idWords } from './search-words.ts'

/** Items parsed before they are written, so that the write lock is never held while files are read. */
const BATCH = 500
const SPACE_RANK: Readonly<Record<Space, number>> = { project: 0, user: 1, system: 2 }

/** Keeps the tables in step with a store. */
export interface IndexWriter {
  /** Writes what changed since the tables were written last, by this process or another one. */
  update(store: ItemStore): Promise<void>
}

export function createIndexWriter(database: DatabaseSync): IndexWriter {
  const known = database.prepare('select path, stamp from items')
  const remove = createRemover(database)
  const put = createPutter(database)
  return {
    async update(store) {
      const stamps = new Map(known.all().map((row) => [String(row['path']), String(row['stamp'])]))
      const entries = await store.entries()
      const changed = entries.filter((entry) => stamps.get(entry.path) !== entry.stamp)
      const current = new Set(entries.map((entry) => entry.path))
      const gone = [...stamps.keys()].filter((path) => !current.has(path))
      if (gone.length > 0) inTransaction(database, () => gone.forEach(remove))
      for (let from = 0; from < changed.length; from += BATCH) {
        const batch: { readonly entry: ItemEntry; readonly item: Item }[] = []
        for (const entry of changed.slice(from, from + BATCH)) {
          if (batch.length % 20 === 19) await nextTurn()
          batch.push({ entry, item: await store.load(entry) })
        }
        inTransaction(database, () => {
          for (const { entry, item } of batch) {
            remove(entry.path)
            put(entry, item)
          }
        })
      }
    },
  }
}

function createRemover(database: DatabaseSync): (path: string) => void {
  const find = database.prepare('select item from items where path = ?')
  const removeWords = database.prepare('delete from words where rowid = ?')
  const removeItem = database.prepare('delete from items where item = ?')
  for (const statement of [removeWords, removeItem]) readWideRowNumbers(statement)
  return (path) => {
    const row = find.get(path)?.['item'] ?? null
    if (row === null) return
    removeWords.run(row)
    removeItem.run(row)
  }
}

function createPutter(database: DatabaseSync): (entry: ItemEntry, item: Item) => void {
  const insertItem = database.prepare(`
    insert into items (path, stamp, type, id, id_words, space, space_rank, category, description, version, file, available)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  const insertWords = database.prepare('insert into words (rowid, name, description, body) values (?, ?, ?, ?)')
  readWideRowNumbers(insertWords)
  return (entry, item) => {
    const { type, id, space, category, description, version, file, path } = item
    const available = item.state.kind === 'available' ? 1 : 0
    const place = [path, entry.stamp, type, id, idWords(id), space, SPACE_RANK[space]]
    const { lastInsertRowid } = insertItem.run(...place, category, description, version, file, available)
    const text = itemText(item)
    insertWords.run(lastInsertRowid, text.name, text.description, text.body)
  }
}

/** What FTS5 writes inside leaves a "last row" beyond what a JavaScript number holds, which `run` would refuse to return. */
function readWideRowNumbers(statement: StatementSync): void {
  statement.setReadBigInts(true)
}
