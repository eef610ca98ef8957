import { chmodSync, closeSync, constants, mkdirSync, openSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Raised with every change of the tables; a file of another version is rebuilt. */
const SCHEMA_VERSION = 1
const BUSY_TIMEOUT_MS = 5000

/** The words keep their text: without it, deleted rows would still count in the averages of BM25, and the order would tell of the past. */
const SCHEMA = `
  drop table if exists items;
  drop table if exists words;
  create table items (
    item integer primary key,
    path text not null unique,
    stamp text not null,
    type text not null,
    id text not null,
    id_words text not null,
    space text not null,
    space_rank integer not null,
    category text not null,
    description text not null,
    version text,
    file text not null,
    available integer not null
  );
  create index items_by_id_words on items (id_words);
  create index items_in_order on items (space_rank, id, type);
  create virtual table words using fts5 (
    name, description, body,
    tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
  );
  pragma user_version = ${SCHEMA_VERSION};
`

/**
 * Opens the index at `path`, or in memory for null. The file is a cache that only its user may read: one that is broken, foreign or of
 * another version is made anew, and where no file can be written the index lives in memory.
 */
export function openIndexDatabase(path: string | null): DatabaseSync {
  if (path === null) return prepare(':memory:')
  try {
    return openFile(path)
  } catch {
    // Broken or not a database: it holds nothing that cannot be made again.
  }
  try {
    for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
    return openFile(path)
  } catch {
    // No place to write to; searching still works.
    return prepare(':memory:')
  }
}

function openFile(path: string): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600))
  chmodSync(path, 0o600)
  return prepare(path)
}

function prepare(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS })
  try {
    database.exec('pragma journal_mode = wal; pragma synchronous = normal;')
    inTransaction(database, () => {
      const version = database.prepare('pragma user_version').get()?.['user_version']
      if (version !== SCHEMA_VERSION) database.exec(SCHEMA)
    })
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Runs `write` in one transaction that holds the write lock from its start, so that it can wait for it but not lose it half way. */
export function inTransaction(database: DatabaseSync, write: () => void): void {
  database.exec('begin immediate')
  try {
    write()
    database.exec('commit')
  } catch (error) {
    database.exec('rollback')
    throw error
  }
}
