import type { ItemType } from './item.ts'

/** First folder of the system items that no other space may replace. */
const PROTECTED_CATEGORIES: ReadonlySet<string> = new Set([
  'primitives',
  'threads',
  'mcp',
  'sinks',
  'core',
  'files',
  'capabilities',
  'shell',
])

/**
 * Whether a system item keeps its id against files of the project and the user. Decided by where the shipped file lies, never by what
 * any file says of itself. LLM endpoint tools stay open: a user may put another endpoint in their place.
 */
export function isProtectedSystemItem(systemItem: { readonly type: ItemType; readonly category: string }): boolean {
  const [first = ''] = systemItem.category.split('/')
  return PROTECTED_CATEGORIES.has(first)
}
