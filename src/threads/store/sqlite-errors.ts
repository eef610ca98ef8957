const SQLITE_BUSY = 5
const SQLITE_LOCKED = 6
const SQLITE_FULL = 13
/** Primary code of a failed read or write of the file; a full disk can also show as one of its extended forms. */
const SQLITE_IOERR = 10

function primaryCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null
  return error.errcode & 0xff
}

/** Another connection held the file for longer than the busy timeout. */
export function isBusy(error: unknown): boolean {
  const code = primaryCode(error)
  return code === SQLITE_BUSY || code === SQLITE_LOCKED
}

/** Nothing is wrong with what was written; there was no room for it. */
export function isDiskFull(error: unknown): boolean {
  const code = primaryCode(error)
  return code === SQLITE_FULL || code === SQLITE_IOERR
}
