/** Taken by one holder at a time, in this process or another; the system lets go of it with the process that holds it, however that ends. */
export interface ExclusiveLock {
  release(): void
}

const SQLITE_BUSY = 5

/**
 * The lock of a file that is made when it is not there and holds nothing; its folder must exist. Waits up to `waitMs`, stopping the whole
 * process for that long; null when somebody else keeps it.
 */
export function takeExclusiveLock(path: string, waitMs: number): ExclusiveLock | null {
  // Few commands need a lock, and all of them pay for what is imported.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  // Node has no lock of its own on files. A transaction that writes nothing is one.
  const database = new DatabaseSync(path, { timeout: waitMs })
  try {
    database.exec('BEGIN EXCLUSIVE')
    return { release: () => database.close() }
  } catch (error) {
    database.close()
    if (isBusy(error)) return null
    throw error
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
}
