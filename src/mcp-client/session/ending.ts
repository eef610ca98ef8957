import type { McpFailure } from '../contract.ts'

/** How a session comes to its end: once, for the first reason. */
export interface Ending {
  /** Undefined while it lives; null when we closed it. */
  readonly reason: () => McpFailure | null | undefined
  end(reason: McpFailure | null): void
  /** Called once, at once if it is over already; the returned function takes the listener away. */
  onEnd(listener: (reason: McpFailure | null) => void): () => void
  readonly ended: Promise<McpFailure | null>
}

export function createEnding(): Ending {
  const { promise, resolve } = Promise.withResolvers<McpFailure | null>()
  const listeners = new Set<(reason: McpFailure | null) => void>()
  let known: McpFailure | null | undefined
  return {
    reason: () => known,
    ended: promise,
    end(reason) {
      if (known !== undefined) return
      known = reason
      resolve(reason)
      const told = [...listeners]
      listeners.clear()
      for (const listener of told) listener(reason)
    },
    onEnd(listener) {
      if (known === undefined) listeners.add(listener)
      else listener(known)
      return () => listeners.delete(listener)
    },
  }
}
