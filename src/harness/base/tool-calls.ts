import type { ToolCall } from './conversation.ts'

export interface RunToolCallsOptions {
  /** Most calls in flight. Default 4. */
  readonly concurrency?: number
  readonly signal?: AbortSignal
}

export type RunToolCall<R> = (call: ToolCall, run: { readonly signal: AbortSignal; readonly index: number }) => Promise<R>

/**
 * Runs the calls of one turn: they start in call order, at most `concurrency` at a time, and the results stand in call order.
 * When one rejects, or the signal aborts, no further call starts; the rejection of the first in call order is thrown after
 * the started ones have settled, so nothing still runs when this returns.
 */
export async function runToolCalls<R>(
  calls: readonly ToolCall[],
  run: RunToolCall<R>,
  options: RunToolCallsOptions = {},
): Promise<readonly R[]> {
  const concurrency = options.concurrency ?? 4
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new TypeError(`Expected \`concurrency\` to be a positive integer, got ${concurrency}.`)
  const signal = options.signal ?? new AbortController().signal
  const settled: ({ readonly ok: true; readonly value: R } | { readonly ok: false; readonly reason: unknown })[] = []
  let next = 0
  let stopped = false
  const work = async (): Promise<void> => {
    while (next < calls.length && !stopped) {
      const index = next
      next += 1
      const call = calls[index]
      if (call === undefined) return
      try {
        signal.throwIfAborted()
        settled[index] = { ok: true, value: await run(call, { signal, index }) }
      } catch (reason) {
        // Kept and thrown below, once nothing is in flight.
        settled[index] = { ok: false, reason }
        stopped = true
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, calls.length) }, work))
  const failure = settled.find((entry) => !entry.ok)
  if (failure?.ok === false) throw failure.reason
  return settled.flatMap((entry) => (entry.ok ? [entry.value] : []))
}
