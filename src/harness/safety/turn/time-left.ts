import { secondsLeft } from '../limits/budget.ts'
import { elapsedSeconds } from './state.ts'
import type { Prepared, SafetyData } from './state.ts'

/**
 * Milliseconds until `max_duration_seconds`; null without that limit. How long a step may take decides nothing before it, so the real
 * clock is good enough here (S2).
 */
export function millisecondsLeft(
  { prepared, begunMs }: { readonly prepared: Prepared; readonly begunMs: number },
  data: SafetyData,
): number | null {
  const left = secondsLeft(prepared.limits, data.added, elapsedSeconds(data.clock))
  return left === null ? null : Math.ceil(left * 1000 - (performance.now() - begunMs))
}
