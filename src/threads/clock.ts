/** UTC milliseconds for what is written down. Durations are measured by timers, never by this. */
export interface Clock {
  readonly now: () => number
}

export const systemClock: Clock = { now: () => Date.now() }

/** ISO 8601 UTC with milliseconds, as every row and transcript line shows a time. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
