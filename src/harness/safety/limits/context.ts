import type { CostLimits } from '../../../kernel/items/item.ts'

/** How full the model's context is. `used` is the last call's input in all classes, as the provider measured it. */
export interface ContextUse {
  readonly used: number
  readonly limit: number
  readonly percent: number
}

export type ContextState = { readonly kind: 'free' } | { readonly kind: 'warn' | 'full'; readonly use: ContextUse }

/** The smaller of the directive's `max_context_tokens` and the model's window; null when neither is known, and then nothing is checked. */
export function contextLimit(limits: Pick<CostLimits, 'max_context_tokens'>, window: number | null): number | null {
  if (limits.max_context_tokens === undefined) return window
  return window === null ? limits.max_context_tokens : Math.min(limits.max_context_tokens, window)
}

/** Where the last measured context stands: below the threshold, above it, or at the limit. */
export function contextState(used: number, limit: number | null, threshold: number): ContextState {
  if (limit === null) return { kind: 'free' }
  const use = { used, limit, percent: limit === 0 ? 100 : Math.floor((used / limit) * 100) }
  if (used >= limit) return { kind: 'full', use }
  return used >= limit * threshold ? { kind: 'warn', use } : { kind: 'free' }
}

/** What the model is told once each time the context crosses its threshold. */
export function contextWarning(use: ContextUse): string {
  return (
    `Context warning: ${use.used} of ${use.limit} tokens are used (${use.percent}%). At 100% this thread ends. ` +
    'Write down what you have so far, read only what you still need, in small pieces, and finish soon.'
  )
}
