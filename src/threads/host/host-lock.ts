import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { isBusy } from '../store/sqlite-errors.ts'

export interface HostLock {
  release(): void
}

const RETRY_MS = 50

/**
 * Takes the lock that makes a host the user's only one: an exclusive SQLite transaction, which the system ends with its process, however
 * that ends. Waits up to `waitMs` while `isHopeless` says no; null when another process keeps it.
 */
export async function takeHostLock(
  lockPath: string,
  options: { readonly waitMs: number; readonly isHopeless: () => Promise<boolean>; readonly signal: AbortSignal },
): Promise<HostLock | null> {
  const deadline = performance.now() + options.waitMs
  for (;;) {
    const lock = tryLock(lockPath)
    if (lock !== null) return lock
    if (options.signal.aborted || performance.now() >= deadline || (await options.isHopeless())) return null
    await delay(RETRY_MS)
  }
}

function tryLock(lockPath: string): HostLock | null {
  const database = new DatabaseSync(lockPath, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
    return { release: () => database.close() }
  } catch (error) {
    database.close()
    if (isBusy(error)) return null
    throw error
  }
}
