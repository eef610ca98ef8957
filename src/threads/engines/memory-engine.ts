import type { Engine } from '../engine.ts'
import { createSqliteEngine } from './sqlite-engine.ts'
import type { SqliteEngineOptions } from './sqlite-engine.ts'
import { openStore } from '../store/open-store.ts'
import type { Store } from '../store/open-store.ts'

export interface MemoryEngine {
  readonly engine: Engine
  /** For a `ThreadsClient` of the same process. Closed by its owner, after the engine. */
  readonly store: Store
}

/** The same engine over a registry in memory, without transcripts: for tests and short-lived embedding. Nothing outlives the process. */
export function createMemoryEngine(options: Omit<SqliteEngineOptions, 'store' | 'transcripts'>): MemoryEngine {
  const store = openStore({ path: ':memory:' })
  return { engine: createSqliteEngine({ ...options, store, transcripts: null }), store }
}
