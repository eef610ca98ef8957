const MAX_DEPTH = 200

interface Finding {
  /** From the value outwards, put together only when there is something to say. */
  readonly place: string
  readonly reason: string
}

/**
 * Why a value would not survive as JSON, with the place; null when it would. Reads each value once and builds no text.
 *
 * Properties that are undefined pass (JSON leaves them out), and so do objects with a `toJSON`.
 */
export function findUnserialisable(value: unknown): string | null {
  const found = find(value, 0)
  return found === null ? null : `result${found.place} ${found.reason}`
}

function find(value: unknown, depth: number): Finding | null {
  const kind = typeof value
  if (kind === 'string' || kind === 'boolean' || kind === 'undefined') return null
  if (kind === 'number') return Number.isFinite(value) ? null : { place: '', reason: `is ${String(value)}` }
  if (typeof value !== 'object') return { place: '', reason: `is a ${kind}` }
  return value === null ? null : findInObject(value, depth)
}

function findInObject(value: object, depth: number): Finding | null {
  if ('toJSON' in value) return null
  // A cycle has no other end.
  if (depth >= MAX_DEPTH) return { place: '', reason: `is nested more than ${MAX_DEPTH} deep, or contains itself` }
  if (Array.isArray(value)) {
    for (const [index, child] of value.entries()) {
      const found = find(child, depth + 1)
      if (found !== null) return depth > 20 ? found : { ...found, place: `[${index}]${found.place}` }
    }
    return null
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype)
    return { place: '', reason: `is a ${value.constructor.name || 'special object'}` }
  for (const [key, child] of Object.entries(value)) {
    const found = find(child, depth + 1)
    // A cycle would repeat its names 200 times.
    if (found !== null) return depth > 20 ? found : { ...found, place: `.${key}${found.place}` }
  }
  return null
}
