/** The same numbers for the same seed: mulberry32. */
export interface Random {
  /** From 0 up to but not including `limit`. */
  below(limit: number): number
  pick<Value>(values: readonly Value[]): Value
  /** Some of the values, in their order: from none to `most`. */
  some<Value>(make: () => Value, most: number): readonly Value[]
}

export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
  return {
    below,
    pick(values) {
      const value = values[below(values.length)]
      if (value === undefined) throw new RangeError('Expected at least one value to pick from.')
      return value
    },
    some: (make, most) => Array.from({ length: below(most + 1) }, make),
  }
}
