/**
 * The few calls of better-sqlite3 that SqliteSaver makes, on `node:sqlite`: the same SQLite for every contender, and no native build at
 * install time. A statement costs the same to prepare and run in both to within the noise of this benchmark.
 */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'

import type { SqliteSaver } from '@langchain/langgraph-checkpoint-sqlite'

type SaverDatabase = ConstructorParameters<typeof SqliteSaver>[0]

export function openBetterSqlite(path: string): { readonly forSaver: SaverDatabase; close(): void } {
  const database = new DatabaseSync(path)
  const calls = {
    exec: (sql: string) => database.exec(sql),
    pragma: (text: string) => database.prepare(`PRAGMA ${text}`).all(),
    prepare: (sql: string) => {
      const statement = database.prepare(sql)
      return {
        run: (...values: SQLInputValue[]) => statement.run(...values.map(bound)),
        get: (...values: SQLInputValue[]) => statement.get(...values.map(bound)),
        all: (...values: SQLInputValue[]) => statement.all(...values.map(bound)),
      }
    },
    transaction:
      <Arguments extends unknown[]>(work: (...values: Arguments) => void) =>
      (...values: Arguments) => {
        database.exec('BEGIN')
        try {
          work(...values)
          database.exec('COMMIT')
        } catch (error) {
          database.exec('ROLLBACK')
          throw error
        }
      },
  }
  // SqliteSaver calls only exec, pragma, prepare and transaction.
  return { forSaver: calls as unknown as SaverDatabase, close: () => database.close() }
}

/** better-sqlite3 binds undefined as an error and so never sees it; optional ids arrive as undefined in some calls and mean NULL. */
function bound(value: SQLInputValue | undefined): SQLInputValue {
  return value === undefined ? null : value
}
