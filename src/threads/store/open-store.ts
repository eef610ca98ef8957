import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { createGroupCommit } from './group-commit.ts'
import type { CommitOptions, Operation } from './group-commit.ts'
import { openDatabase } from './open-database.ts'

/**
 * One connection to a project's registry. Reads are direct and see only what is committed; every write is an operation given to
 * `commit`. No statement is iterated across an await.
 */
export interface Store {
  readonly path: string
  /** A prepared statement, made once per text. */
  statement(sql: string): StatementSync
  /** Runs `operation` in the transaction of this event-loop tick; see `createGroupCommit`. */
  commit<T>(operation: Operation<T>, options?: CommitOptions): Promise<T>
  /**
   * Runs `operation` at once in a transaction of its own, which survives the death of the process when this returns; inside of an
   * operation of `commit` it is a part of that. For rows that no engine caches.
   */
  writeNow(operation: () => void): void
  /** Called after each batch of commits, in the same tick. */
  onBatch(listener: () => void): void
  /** Differs from an earlier answer when this or any other connection has written since. */
  version(): string
  /**
   * Says that an operation of this connection changed rows of threads that a live engine of this process may have cached (an event
   * written for it, its lease). Called inside the operation.
   */
  touch(): void
  /** The same object until another connection, or a `touch`, has changed something. */
  foreign(): object
  /** Commits what is queued and closes. Later commits are refused. */
  close(): Promise<void>
}

export interface StoreOptions {
  /** A file path, or `:memory:`. */
  readonly path: string
  /**
   * What a full disk does to a write. `retry` keeps it queued, tries again until there is room, and tells `onStall`: the host's way.
   * `fail` rejects it: a command's way. Default `fail`.
   */
  readonly diskFull?: 'retry' | 'fail'
  readonly onStall?: (error: unknown) => void
  /** Runs in the transaction that makes the tables of a new registry; not for one that is there. */
  readonly initialise?: (database: DatabaseSync) => void
}

/** @throws {KiwiError} EXECUTION_FAILED for a registry of a newer version or a path that is not a plain file. */
export function openStore(options: StoreOptions): Store {
  const database = openDatabase(options.path, options.initialise)
  const statement = createStatementCache(database)
  const group = createGroupCommit({
    database,
    diskFull: options.diskFull ?? 'fail',
    onStall: options.onStall ?? (() => undefined),
  })
  return {
    path: options.path,
    statement,
    commit: group.commit,
    writeNow: (operation) => writeNow(database, operation),
    onBatch: group.onBatch,
    version: () => `${String(statement('PRAGMA data_version').get()?.['data_version'])}.${group.batches()}`,
    touch: group.touch,
    foreign: group.foreign,
    async close() {
      await group.close()
      if (database.isOpen) database.close()
    },
  }
}

function writeNow(database: DatabaseSync, operation: () => void): void {
  if (database.isTransaction) return operation()
  database.exec('BEGIN IMMEDIATE')
  try {
    operation()
    database.exec('COMMIT')
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function createStatementCache(database: DatabaseSync): (sql: string) => StatementSync {
  const statements = new Map<string, StatementSync>()
  return (sql) => {
    let statement = statements.get(sql)
    if (statement === undefined) {
      statement = database.prepare(sql)
      statements.set(sql, statement)
    }
    return statement
  }
}
