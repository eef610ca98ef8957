/** A file that changed this shortly before it was read may change again within the same tick of its file system's clock. */
const RACY_MS = 100

/** Whether a file changed too shortly ago for its size and times to tell its next change. */
export function isRacy(modifiedMs: number, changedMs: number): boolean {
  return Date.now() - Math.max(modifiedMs, changedMs) < RACY_MS
}
