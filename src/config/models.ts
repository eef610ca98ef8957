import type { ModelTarget, PriceTable } from '../harness/safety/services.ts'
import { KiwiError } from '../kernel/errors.ts'
import type { ModelChoice } from '../kernel/items/item.ts'
import type { ResolvedConfig, TierTarget } from './config.ts'
import type { Environment } from './environment.ts'

/** The scripted model costs nothing; it is charged like a mid-range model so that budgets are seen to work without a key. */
const SCRIPTED_PRICE: PriceTable = { input: 3, cache_read: 0.3, cache_write_5m: 3.75, cache_write_1h: 6, output: 15 }
const SCRIPTED_CONTEXT_WINDOW = 200_000

/**
 * What a directive's `<model>` means here. A model named outright keeps the endpoint of its tier (or of the default tier); a tier that is not configured falls
 * back to `fallback` when that one is.
 *
 * @throws KiwiError CONFIG_VALIDATION_ERROR naming the tiers that exist.
 */
export function resolveModel(config: ResolvedConfig, choice: ModelChoice | null): ModelTarget {
  const tier = findTier(config, choice)
  const model = choice?.id ?? tier.model
  const isScripted = model.startsWith('scripted')
  return {
    tool: tier.tool,
    wire: tier.wire,
    provider: tier.provider,
    model,
    maxOutputTokens: tier.maxOutputTokens,
    price: config.models.prices[model] ?? (isScripted ? SCRIPTED_PRICE : null),
    contextWindow: config.models.contextWindows[model] ?? (isScripted ? SCRIPTED_CONTEXT_WINDOW : null),
  }
}

function findTier(config: ResolvedConfig, choice: ModelChoice | null): TierTarget {
  const names = [choice?.tier ?? config.models.defaultTier, choice?.fallback ?? null]
  for (const name of names) {
    const tier = name === null ? undefined : config.models.tiers[name]
    if (tier !== undefined) return tier
  }
  throw new KiwiError('CONFIG_VALIDATION_ERROR', `No model tier is named "${names[0]}".`, {
    suggestion: `Use one of ${Object.keys(config.models.tiers).join(', ')}, or add the tier under models.tiers in config.yaml.`,
    facts: { tier: names[0] ?? null, fallback: names[1] ?? null },
  })
}

/**
 * `${NAME}` lookups of tool files: `<PROVIDER>_BASE_URL` and `<PROVIDER>_API_KEY` may come from the configuration (which names the key's
 * variable, never the key), everything else is the environment. The environment wins for base URLs.
 */
export function envLookup(config: ResolvedConfig, env: Environment): (name: string) => string | undefined {
  const configured = new Map<string, () => string | undefined>()
  for (const [provider, { baseUrl, keyEnv }] of Object.entries(config.providers)) {
    const prefix = provider.toUpperCase().replaceAll('-', '_')
    if (baseUrl !== null) configured.set(`${prefix}_BASE_URL`, () => env[`${prefix}_BASE_URL`] || baseUrl)
    if (keyEnv !== null) configured.set(`${prefix}_API_KEY`, () => env[keyEnv] || undefined)
  }
  return (name) => configured.get(name)?.() ?? (env[name] || undefined)
}
