import type { AttachedSink, SinkReport, StreamEvent } from './contract.ts'
import { createSinkLane } from './sink-lane.ts'

/**
 * One stream to many sinks.
 *
 * F1. Each sink has its own lane (queue, policy, account): what one does never delays another.
 * F2. A sink that takes an event synchronously costs no promise and no queue.
 * F3. Every sink is closed exactly once, after its last write, on every path; drain and close are each bounded in time.
 */
export interface FanOut {
  write(event: StreamEvent): void
  /** Drains and closes all sinks and gives their accounts, in the order of attachment. Call it once. */
  close(): Promise<readonly SinkReport[]>
  /** The first sink with the policy `fail` that lost an event or could not be closed, with the reason. */
  broken(): { readonly type: string; readonly reason: string } | null
}

export interface FanOutOptions {
  /** Bounds the drain of a queue and, separately, `close` of a sink. */
  readonly closeTimeoutMs: number
  /** Called at most once, when `broken` becomes non-null while events still come. */
  readonly onBroken: () => void
}

/** Attaches the sinks; from here on the fan-out owns them. */
export function createFanOut(sinks: readonly AttachedSink[], options: FanOutOptions): FanOut {
  let broken: { type: string; reason: string } | null = null
  const lanes = sinks.map((attached) =>
    createSinkLane(attached, {
      closeTimeoutMs: options.closeTimeoutMs,
      onFailed(reason) {
        if (broken !== null) return
        broken = { type: attached.type, reason }
        options.onBroken()
      },
    }),
  )
  return {
    write(event) {
      for (const lane of lanes) lane.write(event)
    },
    close: () => Promise.all(lanes.map((lane) => lane.close())),
    broken: () => broken,
  }
}
