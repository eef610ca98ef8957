import type { MetaToolResult } from '../kernel/contract.ts'

/** About 8,000 tokens: below what MCP hosts cut or warn about. */
export const MAX_RESULT_BYTES = 30_000

/** A result and its JSON text, which is at most as long as was asked for. */
export interface BoundedResult {
  readonly value: Readonly<Record<string, unknown>>
  readonly text: string
}

/**
 * A result that fits into an MCP answer. What fits is returned unchanged; otherwise long strings and long lists are shortened, the same way
 * everywhere, until it fits, and a `truncated` field says so. Short fields such as ids, statuses and codes always survive.
 *
 * `keep` is given the whole text of a result that was shortened, and answers with the cursor of its first page, or null.
 */
export function boundedResult(
  result: MetaToolResult,
  options: { readonly maxBytes?: number; readonly keep?: (whole: string) => string | null } = {},
): BoundedResult {
  const { maxBytes = MAX_RESULT_BYTES } = options
  const text = JSON.stringify(result)
  const bytes = Buffer.byteLength(text)
  if (bytes <= maxBytes) return { value: { ...result }, text }
  const cursor = options.keep?.(text) ?? null
  const note = cursor === null ? ASK_FOR_LESS : `${READ_ON} ${ASK_FOR_LESS}`
  const extra = { ...(cursor === null ? {} : { next_cursor: cursor }), truncated: { original_bytes: bytes, note } }
  const value: unknown = JSON.parse(text)
  return shortened(value, { maxBytes, extra }) ?? headOnly(result, { text, maxBytes, extra })
}

const READ_ON =
  'Shortened to fit. Call this tool again with next_cursor as cursor: it brings the whole result as JSON text, page by page.'
const ASK_FOR_LESS = 'Or ask for less: a smaller limit, a narrower query, or pages (read_file lines, read_transcript last_n).'

/** The object with its long parts shortened and the fields of `extra` added, or null when it does not fit even so. */
function shortened(value: unknown, options: { readonly maxBytes: number; readonly extra: object }): BoundedResult | null {
  for (const [maxCharacters, maxItems] of STEPS) {
    // An object is shortened to an object.
    const object = { ...(shorten(value, { maxCharacters, maxItems, depth: 0 }) as object), ...options.extra }
    const text = JSON.stringify(object)
    if (Buffer.byteLength(text) <= options.maxBytes) return { value: object, text }
  }
  return null
}

function headOnly(
  { success }: MetaToolResult,
  { text, maxBytes, extra }: { readonly text: string; readonly maxBytes: number; readonly extra: object },
): BoundedResult {
  const value = { success, ...extra, head: text.slice(0, Math.floor(maxBytes / 8)).toWellFormed() }
  return { value, text: JSON.stringify(value) }
}

/** The JSON text of an object, shortened in the same way where it is longer than `maxBytes`. */
export function boundedText(object: object, maxBytes: number): string {
  const text = JSON.stringify(object)
  const bytes = Buffer.byteLength(text)
  if (bytes <= maxBytes) return text
  const extra = { truncated: { original_bytes: bytes } }
  const value: unknown = JSON.parse(text)
  return shortened(value, { maxBytes, extra })?.text ?? JSON.stringify(extra)
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
