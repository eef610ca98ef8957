import type { DatabaseSync } from 'node:sqlite'
import { KiwiError } from '../../kernel/errors.ts'
import { isBusy, isDiskFull } from './sqlite-errors.ts'

/**
 * Group commit: the operations of one event-loop tick become one transaction, because a transaction costs more than what is in it.
 *
 *   G1. Operations run in the order they were given, each once in the transaction that is committed.
 *   G2. An operation that throws fails alone: the batch is rolled back and each operation is run in a transaction of its own.
 *   G3. What an operation changed in memory is undone by its `onRollback` when its transaction is not committed.
 *   G4. `afterCommit` runs in the tick of the commit, before the promise of the operation resolves.
 */

export interface Transaction {
  /** Takes back what the operation changed in memory; run in reverse order. */
  onRollback(undo: () => void): void
  afterCommit(action: () => void): void
  /** The same object for as long as only this connection's own owners have written; see `Store.touch`. */
  foreign(): object
}

/** Synchronous, and repeatable after its `onRollback`. */
export type Operation<T> = (transaction: Transaction) => T

export interface CommitOptions {
  /** `full` waits for the disk and survives a power cut; `normal` survives the death of the process. Default `normal`. */
  readonly durability?: 'full' | 'normal'
  /** Told in the tick of the failure, before any later operation runs. */
  readonly onFailure?: (error: unknown) => void
}

export interface GroupCommit {
  readonly commit: <T>(operation: Operation<T>, options?: CommitOptions) => Promise<T>
  readonly onBatch: (listener: () => void) => void
  /** Batches committed by this connection so far. */
  batches(): number
  /** Changes what `foreign` answers: this connection wrote something that its own caches do not know. */
  readonly touch: () => void
  readonly foreign: () => object
  close(): Promise<void>
}

interface Entry {
  readonly run: (transaction: Transaction) => unknown
  readonly durability: 'full' | 'normal'
  readonly onFailure: ((error: unknown) => void) | undefined
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

interface GroupCommitOptions {
  readonly database: DatabaseSync
  readonly diskFull: 'retry' | 'fail'
  readonly onStall: (error: unknown) => void
}

type Attempt =
  | { readonly kind: 'committed'; readonly values: readonly unknown[] }
  | { readonly kind: 'failed'; readonly error: unknown; readonly began: boolean }

const RETRY_MS = 250
/** With the busy timeout before each, several times what any other writer should hold the file. */
const BUSY_RETRIES = 3

export function createGroupCommit(options: GroupCommitOptions): GroupCommit {
  const { database } = options
  const listeners: (() => void)[] = []
  let queue: Entry[] = []
  let scheduled = false
  let closed = false
  let busyCount = 0
  let batchCount = 0
  const watch = createForeignWatch(database)
  const attempt = createAttempt(database, watch.look)

  function schedule(delayMs: number): void {
    if (scheduled) return
    scheduled = true
    if (delayMs === 0) setImmediate(flush)
    else setTimeout(flush, delayMs)
  }

  function flush(): void {
    scheduled = false
    if (queue.length === 0) return
    const batch = queue
    queue = []
    const result = attempt(batch)
    if (result.kind === 'committed') succeed(batch, result.values)
    else if (!postponed(batch, result)) runEachAlone(batch, result)
    for (const listener of listeners) listener()
  }

  function succeed(batch: readonly Entry[], values: readonly unknown[]): void {
    busyCount = 0
    batchCount += 1
    for (let index = 0; index < batch.length; index += 1) batch[index]?.resolve(values[index])
  }

  /** True when nothing is wrong with the operations themselves, and they wait for a better moment. */
  function postponed(batch: readonly Entry[], result: { readonly error: unknown; readonly began: boolean }): boolean {
    if (closed) return false
    const full = isDiskFull(result.error) && options.diskFull === 'retry'
    const busy = isBusy(result.error) && !result.began && busyCount < BUSY_RETRIES
    if (!full && !busy) return false
    if (busy) busyCount += 1
    if (full) options.onStall(result.error)
    queue = [...batch, ...queue]
    schedule(RETRY_MS)
    return true
  }

  function runEachAlone(batch: readonly Entry[], failure: { readonly error: unknown; readonly began: boolean }): void {
    // A transaction that could not even begin would fail for each of them, after the whole busy timeout each time.
    const hopeless = batch.length === 1 || !failure.began
    for (let index = 0; index < batch.length; index += 1) {
      const entry = batch[index]
      if (entry === undefined) continue
      const alone: Attempt = hopeless ? { kind: 'failed', ...failure } : attempt([entry])
      if (alone.kind === 'committed') succeed([entry], alone.values)
      else if (postponed(batch.slice(index), alone)) return
      else {
        entry.onFailure?.(alone.error)
        entry.reject(alone.error)
      }
    }
  }

  function commit<T>(operation: Operation<T>, commitOptions: CommitOptions = {}): Promise<T> {
    if (closed)
      return Promise.reject(
        new KiwiError('ABORTED', 'The thread registry is closed in this process, so nothing more is written.'),
      )
    return new Promise<T>((resolve, reject) => {
      // The value that `resolve` is given is the one that this very operation returned.
      const entry: Entry = {
        run: operation,
        durability: commitOptions.durability ?? 'normal',
        onFailure: commitOptions.onFailure,
        resolve: (value) => resolve(value as T),
        reject,
      }
      queue.push(entry)
      schedule(0)
    })
  }

  return {
    commit,
    onBatch: (listener) => void listeners.push(listener),
    batches: () => batchCount,
    touch: watch.touch,
    foreign: watch.look,
    async close() {
      closed = true
      flush()
    },
  }
}

/** Notices writes of other connections by `PRAGMA data_version`, which inside of a transaction holds until its end. */
function createForeignWatch(database: DatabaseSync): { look: () => object; touch: () => void } {
  const pragma = database.prepare('PRAGMA data_version')
  let seen = pragma.get()?.['data_version']
  let mark: object = {}
  return {
    look() {
      const version = pragma.get()?.['data_version']
      if (version !== seen) mark = {}
      seen = version
      return mark
    },
    touch() {
      mark = {}
    },
  }
}

/** One transaction over `batch`; never throws. */
function createAttempt(database: DatabaseSync, look: () => object): (batch: readonly Entry[]) => Attempt {
  let synchronous: 'full' | 'normal' = 'normal'

  function setSynchronous(wanted: 'full' | 'normal'): void {
    if (synchronous === wanted) return
    database.exec(wanted === 'full' ? 'PRAGMA synchronous=FULL' : 'PRAGMA synchronous=NORMAL')
    synchronous = wanted
  }

  return (batch) => {
    const undo: (() => void)[] = []
    const after: (() => void)[] = []
    let foreign: object | null = null
    const transaction: Transaction = {
      onRollback: (action) => void undo.push(action),
      afterCommit: (action) => void after.push(action),
      foreign: () => (foreign ??= look()),
    }
    let began = false
    let values: unknown[]
    try {
      setSynchronous(batch.some((entry) => entry.durability === 'full') ? 'full' : 'normal')
      database.exec('BEGIN IMMEDIATE')
      began = true
      values = batch.map((entry) => entry.run(transaction))
      database.exec('COMMIT')
    } catch (error) {
      if (database.isOpen && database.isTransaction) database.exec('ROLLBACK')
      for (const action of undo.toReversed()) action()
      return { kind: 'failed', error, began }
    }
    // Outside of the try: what is committed is never rolled back in memory.
    for (const action of after) action()
    return { kind: 'committed', values }
  }
}
