import type { ResolvedConfig } from '../config/config.ts'
import { resolveModel } from '../config/models.ts'
import { contextLimit } from '../harness/safety/limits/context.ts'
import { contextWindowOf } from '../harness/safety/model/prices.ts'
import type { ThreadRow } from '../threads/threads-client.ts'

/** Tokens at which the thread's context is full, by its directive, the configuration and the price list; null when none of them says. */
export function contextLimitOf(config: ResolvedConfig, { cost_budget: budget }: Pick<ThreadRow, 'cost_budget'>): number | null {
  const { model, provider, max_context_tokens: max } = budget
  const limits = typeof max === 'number' ? { max_context_tokens: max } : {}
  if (typeof model !== 'string' || typeof provider !== 'string') return contextLimit(limits, null)
  const { contextWindow } = resolveModel(config, { tier: null, id: model, fallback: null })
  return contextLimit(limits, contextWindowOf({ provider, model, contextWindow }))
}
