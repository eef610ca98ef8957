import type { MetaToolResult } from '../kernel/contract.ts'

/** About 8,000 tokens: below what MCP hosts cut or warn about. */
export const MAX_RESULT_BYTES = 30_000

/**
 * A result that fits into an MCP answer. What fits is returned unchanged; otherwise long strings and long lists are shortened, the same way
 * everywhere, until it fits, and a `truncated` field says so. Short fields such as ids, statuses and codes always survive.
 */
export function boundedResult(result: MetaToolResult, maxBytes: number = MAX_RESULT_BYTES): Readonly<Record<string, unknown>> {
  const text = JSON.stringify(result)
  const bytes = Buffer.byteLength(text)
  if (bytes <= maxBytes) return { ...result }
  const truncated = {
    original_bytes: bytes,
    note: 'Shortened to fit. Ask for less: a smaller limit, a narrower query, or pages (read_file lines, read_transcript last_n).',
  }
  const value: unknown = JSON.parse(text)
  for (const [maxCharacters, maxItems] of STEPS) {
    const shortened = { ...(shorten(value, { maxCharacters, maxItems, depth: 0 }) as object), truncated } // a result is an object, and stays one
    if (Buffer.byteLength(JSON.stringify(shortened)) <= maxBytes) return shortened
  }
  return { success: result.success, truncated, head: text.slice(0, Math.floor(maxBytes / 8)) }
}

/** Longest string and longest list of each attempt. */
const STEPS = [
  [16_000, 200],
  [8_000, 100],
  [4_000, 50],
  [2_000, 25],
  [500, 20],
  [200, 10],
  [100, 5],
] as const

const MAX_DEPTH = 12

interface Shortening {
  readonly maxCharacters: number
  readonly maxItems: number
  readonly depth: number
}

function shorten(value: unknown, options: Shortening): unknown {
  const { maxCharacters, maxItems, depth } = options
  const next = { ...options, depth: depth + 1 }
  if (typeof value === 'string') {
    return value.length <= maxCharacters
      ? value
      : `${value.slice(0, maxCharacters).toWellFormed()}… [${value.length - maxCharacters} more characters]`
  }
  if (typeof value !== 'object' || value === null) return value
  if (depth >= MAX_DEPTH) return '[deeper levels left out]'
  if (Array.isArray(value)) {
    const kept = value.slice(0, maxItems).map((item) => shorten(item, next))
    return value.length <= maxItems ? kept : [...kept, `[${value.length - maxItems} more items]`]
  }
  const entries = Object.entries(value)
  const kept = entries.slice(0, Math.max(maxItems, 30)).map(([key, item]) => [key, shorten(item, next)] as const)
  return Object.fromEntries(
    entries.length <= kept.length ? kept : [...kept, ['…', `${entries.length - kept.length} more fields`]],
  )
}
