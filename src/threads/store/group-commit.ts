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
  /** The same object for as long as only this connection's own owners have written, also within this transaction; see `Store.touch`. */
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
  const watch = createForeignWatch(options.database)
  const queue = new CommitQueue(options, createAttempt(options.database, watch))
  return {
    commit: (operation, commitOptions = {}) => queue.commit(operation, commitOptions),
    onBatch: (listener) => queue.onBatch(listener),
    batches: () => queue.batches,
    touch: watch.touch,
    foreign: watch.look,
    close: () => queue.close(),
  }
}

class CommitQueue {
  readonly #options: GroupCommitOptions
  readonly #attempt: (batch: readonly Entry[]) => Attempt
  readonly #listeners: (() => void)[] = []
  #entries: Entry[] = []
  #scheduled = false
  #closed = false
  #busyCount = 0
  batches = 0

  constructor(options: GroupCommitOptions, attempt: (batch: readonly Entry[]) => Attempt) {
    this.#options = options
    this.#attempt = attempt
  }

  onBatch(listener: () => void): void {
    this.#listeners.push(listener)
  }

  commit<T>(operation: Operation<T>, options: CommitOptions): Promise<T> {
    if (this.#closed) {
      return Promise.reject(
        new KiwiError('ABORTED', 'The thread registry is closed in this process, so nothing more is written.'),
      )
    }
    return new Promise<T>((resolve, reject) => {
      this.#entries.push({
        run: operation,
        durability: options.durability ?? 'normal',
        onFailure: options.onFailure,
        // The value that `resolve` is given is the one that this very operation returned.
        resolve: (value) => resolve(value as T),
        reject,
      })
      this.#schedule(0)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#flush()
  }

  #schedule(delayMs: number): void {
    if (this.#scheduled) return
    this.#scheduled = true
    if (delayMs === 0) setImmediate(() => this.#flush())
    else setTimeout(() => this.#flush(), delayMs)
  }

  #flush(): void {
    this.#scheduled = false
    if (this.#entries.length === 0) return
    const batch = this.#entries
    this.#entries = []
    const result = this.#attempt(batch)
    if (result.kind === 'committed') this.#succeed(batch, result.values)
    else if (!this.#postponed(batch, result)) this.#runEachAlone(batch, result)
    for (const listener of this.#listeners) listener()
  }

  #succeed(batch: readonly Entry[], values: readonly unknown[]): void {
    this.#busyCount = 0
    this.batches += 1
    for (let index = 0; index < batch.length; index += 1) batch[index]?.resolve(values[index])
  }

  /** True when nothing is wrong with the operations themselves, and they wait for a better moment. */
  #postponed(batch: readonly Entry[], result: Extract<Attempt, { kind: 'failed' }>): boolean {
    if (this.#closed) return false
    const full = isDiskFull(result.error) && this.#options.diskFull === 'retry'
    const busy = isBusy(result.error) && !result.began && this.#busyCount < BUSY_RETRIES
    if (!full && !busy) return false
    if (busy) this.#busyCount += 1
    if (full) this.#options.onStall(result.error)
    this.#entries = [...batch, ...this.#entries]
    this.#schedule(RETRY_MS)
    return true
  }

  #runEachAlone(batch: readonly Entry[], failure: Extract<Attempt, { kind: 'failed' }>): void {
    // A transaction that could not even begin would fail for each of them, after the whole busy timeout each time.
    const hopeless = batch.length === 1 || !failure.began
    for (let index = 0; index < batch.length; index += 1) {
      const entry = batch[index]
      if (entry === undefined) continue
      const alone = hopeless ? failure : this.#attempt([entry])
      if (alone.kind === 'committed') this.#succeed([entry], alone.values)
      else if (this.#postponed(batch.slice(index), alone)) return
      else {
        entry.onFailure?.(alone.error)
        entry.reject(alone.error)
      }
    }
  }
}

interface ForeignWatch {
  readonly look: () => object
  readonly touch: () => void
  /** What `look` gives, where no other connection can have written since the last look. */
  readonly last: () => object
}

/** Notices writes of other connections by `PRAGMA data_version`, which inside of a transaction holds until its end. */
function createForeignWatch(database: DatabaseSync): ForeignWatch {
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
    last: () => mark,
  }
}

/** One transaction over `batch`; never throws. */
function createAttempt(database: DatabaseSync, watch: ForeignWatch): (batch: readonly Entry[]) => Attempt {
  let synchronous: 'full' | 'normal' = 'normal'

  function setSynchronous(wanted: 'full' | 'normal'): void {
    if (synchronous === wanted) return
    database.exec(wanted === 'full' ? 'PRAGMA synchronous=FULL' : 'PRAGMA synchronous=NORMAL')
    synchronous = wanted
  }

  return (batch) => {
    const undo: (() => void)[] = []
    const after: (() => void)[] = []
    let looked = false
    const transaction: Transaction = {
      onRollback: (action) => void undo.push(action),
      afterCommit: (action) => void after.push(action),
      foreign() {
        if (looked) return watch.last()
        looked = true
        return watch.look()
      },
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
