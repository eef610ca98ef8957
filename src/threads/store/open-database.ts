import { closeSync, constants, lstatSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { KiwiError } from '../../kernel/errors.ts'
import { SCHEMA, SCHEMA_VERSION, UPGRADES } from './schema.ts'
import { isBusy } from './sqlite-errors.ts'

/** 16 MB: a checkpoint waits for the disk, and the same few pages are written by every turn, so fewer of them write less. */
const CHECKPOINT_PAGES = 4_000

/** How long a write waits for the writer of another process before it fails. */
const BUSY_TIMEOUT_MS = 10_000

/**
 * Opens (or makes) a registry file: WAL, busy timeout before anything else, foreign keys on, schema functions untrusted, 0600.
 *
 * @throws {KiwiError} EXECUTION_FAILED for a registry of a newer version or a path that is not a plain file.
 */
export function openDatabase(path: string, initialise?: (database: DatabaseSync) => void): DatabaseSync {
  if (path !== ':memory:') prepareFile(path)
  // The timeout stands in the constructor because `PRAGMA journal_mode` itself fails when another process holds the file.
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true })
  try {
    if (path !== ':memory:') enterWal(database)
    database.exec(
      `PRAGMA trusted_schema=OFF; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=16777216; PRAGMA wal_autocheckpoint=${CHECKPOINT_PAGES}`,
    )
    migrate(database, path, initialise)
  } catch (error) {
    database.close()
    throw error
  }
  return database
}

function prepareFile(path: string): void {
  const folder = dirname(path)
  if (lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    throw new KiwiError('EXECUTION_FAILED', 'The folder of the thread registry is a link, so nothing is written there.', {
      suggestion: 'Put a folder in the place of .ai/threads.',
    })
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  try {
    // O_EXCL: an existing file is never opened and closed here, because closing it would drop the locks that SQLite holds on it in this process.
    closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    const found = lstatSync(path)
    if (found.isFile() && found.nlink === 1) return
    throw new KiwiError('EXECUTION_FAILED', 'The thread registry is a link or not a regular file, so it is not opened.', {
      suggestion: 'Remove .ai/threads/registry.db and start again.',
      error,
    })
  }
}

/** Changing to WAL needs the file alone for a moment and does not use the busy handler; many processes may try at once. */
function enterWal(database: DatabaseSync): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  for (let attempt = 1; ; attempt += 1) {
    try {
      const mode = database.prepare('PRAGMA journal_mode=WAL').get()?.['journal_mode']
      if (mode === 'wal') return
      throw new KiwiError(
        'EXECUTION_FAILED',
        `The thread registry cannot use a write-ahead log here (journal mode ${String(mode)}).`,
        {
          suggestion: 'Keep the project on a local file system.',
        },
      )
    } catch (error) {
      if (!isBusy(error) || attempt >= 500) throw error
      Atomics.wait(sleeper, 0, 0, 20)
    }
  }
}

function userVersion(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0)
}

/** Makes the tables, or brings those of an older version up, in one transaction: a registry is never found half way. */
function migrate(database: DatabaseSync, path: string, initialise?: (database: DatabaseSync) => void): void {
  if (userVersion(database) === SCHEMA_VERSION) return
  database.exec('BEGIN IMMEDIATE')
  try {
    const version = userVersion(database)
    if (version > SCHEMA_VERSION) throw newerRegistry(path, version)
    if (version === 0) {
      database.exec(SCHEMA)
      initialise?.(database)
    } else for (let from = version; from < SCHEMA_VERSION; from += 1) database.exec(UPGRADES[from] ?? '')
    database.exec(`PRAGMA user_version=${SCHEMA_VERSION}`)
    database.exec('COMMIT')
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function newerRegistry(path: string, version: number): KiwiError {
  const name = path.split('/').slice(-3).join('/')
  return new KiwiError(
    'EXECUTION_FAILED',
    `The thread registry ${name} has version ${version}; this Kiwi knows up to version ${SCHEMA_VERSION}.`,
    {
      facts: { found_version: version, known_version: SCHEMA_VERSION },
      suggestion: 'Use the newer Kiwi that wrote it, or move the registry away to start an empty one.',
    },
  )
}
