import type { JsonObject } from '../json.ts'

/** The lossy side channel of the threads of one registry: deltas while a step runs, and committed events. Never journaled. */
export interface LiveBus {
  publish(threadId: string, live: JsonObject): void
  /** False means that `publish` would reach nobody, so nothing need be built. */
  watched(threadId: string): boolean
  /** Gives the function that ends the subscription. A listener must not throw. */
  subscribe(threadId: string, listener: (live: JsonObject) => void): () => void
}

export function createLiveBus(): LiveBus {
  const listeners = new Map<string, Set<(live: JsonObject) => void>>()
  return {
    publish(threadId, live) {
      const found = listeners.get(threadId)
      if (found !== undefined) for (const listener of found) listener(live)
    },
    watched: (threadId) => listeners.has(threadId),
    subscribe(threadId, listener) {
      const found = listeners.get(threadId) ?? new Set()
      found.add(listener)
      listeners.set(threadId, found)
      return () => {
        found.delete(listener)
        if (found.size === 0) listeners.delete(threadId)
      }
    },
  }
}
