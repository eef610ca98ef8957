/**
 * The journal writes of one thread, as they were really made: recorded from our own run, replayed by the floor. So the floor writes the
 * same rows in the same number of transactions whatever the engine's tables look like, and pays for nothing else.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, StatementSync } from 'node:sqlite'
import { deserialize, serialize } from 'node:v8'

type Arguments = readonly SQLInputValue[]
type Callable = (...args: never[]) => unknown

interface TracedStatement {
  readonly sql: string
  readonly args: Arguments
}

export interface JournalTrace {
  readonly threadId: string
  /** Ids of its tokens, which each replay makes anew as it does the thread's. */
  readonly tokenIds: readonly string[]
  /** Statements that make the tables, and the journal mode. */
  readonly schema: readonly string[]
  /** Rows that no thread wrote and that its own refer to: the keys of the host's run. */
  readonly hostRows: readonly TracedStatement[]
  readonly transactions: readonly (readonly TracedStatement[])[]
}

export interface Recorder {
  /** What was written since `start`, without what other tables got. */
  stop(threadId: string, databasePath: string): JournalTrace
}

const WRITE = /^\s*(insert|update|delete|replace|with)\b/i

/** Watches every SQLite connection of this process until `stop`. */
export function startRecording(): Recorder {
  const transactions: TracedStatement[][] = []
  let open: TracedStatement[] | null = null
  const statement = StatementSync.prototype
  const database = DatabaseSync.prototype
  // Reflect, because these methods are wanted without their object.
  const original = { ...methods(statement, ['run', 'get', 'all']), ...methods(database, ['exec']) }

  function note(sql: string, args: Arguments): void {
    if (!WRITE.test(sql)) return
    if (open === null) transactions.push([{ sql, args }])
    else open.push({ sql, args })
  }

  for (const verb of ['run', 'get', 'all'] as const) {
    const real = original[verb]
    // A recording wrapper has the signature of what it wraps.
    statement[verb] = function wrapped(this: StatementSync, ...args: SQLInputValue[]) {
      note(this.sourceSQL, args)
      return Reflect.apply(real ?? note, this, args)
    } as never
  }
  database.exec = function wrapped(this: DatabaseSync, sql: string): void {
    if (/^\s*begin\b/i.test(sql)) open = []
    if (/^\s*commit\b/i.test(sql) && open !== null && open.length > 0) transactions.push(open)
    if (/^\s*(commit|rollback)\b/i.test(sql)) open = null
    Reflect.apply(original['exec'] ?? note, this, [sql])
  }
  return {
    stop(threadId, databasePath) {
      const { exec, ...verbs } = original
      Object.assign(statement, verbs)
      Object.assign(database, { exec })
      return { threadId, transactions, ...readDatabase(databasePath, threadId) }
    },
  }
}

function methods(owner: object, names: readonly string[]): Record<string, Callable> {
  return Object.fromEntries(names.map((name) => [name, Reflect.get(owner, name)]))
}

function readDatabase(path: string, threadId: string): Pick<JournalTrace, 'schema' | 'hostRows' | 'tokenIds'> {
  const database = new DatabaseSync(path, { readOnly: true })
  const texts = (sql: string, ...args: Arguments): readonly string[] =>
    database
      .prepare(sql)
      .all(...args)
      .map((row) => String(Object.values(row)[0]))
  try {
    return {
      schema: texts(`SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'`),
      hostRows: database
        .prepare('SELECT * FROM token_keys')
        .all()
        .map((row) => ({
          sql: `INSERT INTO token_keys VALUES (${Object.keys(row)
            .map(() => '?')
            .join(', ')})`,
          args: Object.values(row),
        })),
      tokenIds: texts('SELECT jti FROM tokens WHERE thread_id = ?', threadId),
    }
  } finally {
    database.close()
  }
}

export function saveTrace(path: string, trace: JournalTrace): void {
  writeFileSync(path, serialize(trace))
}

export function loadTrace(path: string): JournalTrace {
  // written by saveTrace of the same benchmark run
  return deserialize(readFileSync(path)) as JournalTrace
}

export interface Replay {
  /** Writes the part of the trace that is due when `progress` (0 to 1) of the thread is done. */
  advance(progress: number): void
}

export interface ReplayStore {
  /** A replay under a thread id of its own. */
  begin(threadId: string): Replay
  close(): void
}

export function openReplayStore(path: string, trace: JournalTrace): ReplayStore {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA journal_mode=WAL')
  database.exec('PRAGMA synchronous=NORMAL')
  for (const sql of trace.schema) database.exec(sql)
  for (const { sql, args } of trace.hostRows) database.prepare(sql).run(...args)
  const statements = new Map<string, StatementSync>()

  function prepared(sql: string): StatementSync {
    const known = statements.get(sql)
    if (known !== undefined) return known
    const made = database.prepare(sql)
    statements.set(sql, made)
    return made
  }

  return {
    begin(threadId) {
      const renamed = rename(trace, threadId)
      let next = 0
      return {
        advance(progress) {
          for (const due = Math.ceil(progress * renamed.length); next < due; next += 1) {
            database.exec('BEGIN IMMEDIATE')
            for (const { sql, args } of renamed[next] ?? []) prepared(sql).run(...args)
            database.exec('COMMIT')
          }
        },
      }
    },
    close: () => database.close(),
  }
}

function rename(trace: JournalTrace, threadId: string): readonly (readonly TracedStatement[])[] {
  const names = new Map([[trace.threadId, threadId], ...trace.tokenIds.map((id) => [id, randomUUID()] as const)])
  const swap = (value: SQLInputValue): SQLInputValue => {
    if (typeof value !== 'string') return value
    let text = value
    for (const [recorded, own] of names) text = text.replaceAll(recorded, own)
    return text
  }
  return trace.transactions.map((statements) => statements.map(({ sql, args }) => ({ sql, args: args.map(swap) })))
}
