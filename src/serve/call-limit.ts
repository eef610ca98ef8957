/** How many calls run together. There is one principal, the holder of the token; so this is its limit. */
export interface CallLimit {
  /** Takes `count` places, and gives the function that returns them, once; null when there are not as many. */
  take(count: number): (() => void) | null
  /** Resolves when no place is taken. */
  idle(): Promise<void>
}

export function createCallLimit(max: number): CallLimit {
  let taken = 0
  const waiting: (() => void)[] = []
  return {
    take(count) {
      if (taken + count > max) return null
      taken += count
      let isReturned = false
      return () => {
        if (isReturned) return
        isReturned = true
        taken -= count
        if (taken === 0) for (const resolve of waiting.splice(0)) resolve()
      }
    },
    idle: () => (taken === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  }
}
