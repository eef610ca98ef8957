/**
 * UTC milliseconds that never run backwards: when the clock of the machine is set back, time goes on from the latest that was seen, as
 * fast as the monotonic clock. So nothing lives longer than it was given, and a jump forward is followed at once.
 */
export function createSteadyClock(source: { readonly now: () => number; readonly monotonicMs: () => number }): () => number {
  let seenMs = source.now()
  let markMs = source.monotonicMs()
  return () => {
    const monotonicMs = source.monotonicMs()
    seenMs = Math.max(source.now(), seenMs + Math.max(0, monotonicMs - markMs))
    markMs = monotonicMs
    return Math.floor(seenMs)
  }
}
