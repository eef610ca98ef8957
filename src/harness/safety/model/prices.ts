import { calcPrice } from '@pydantic/genai-prices'
import type { ModelPrice, PriceCalculation, PriceOptions } from '@pydantic/genai-prices'
import type { Usage } from '../../base/conversation.ts'
import type { ModelTarget, PriceTable } from '../services.ts'

const NANO_PER_USD = 1_000_000_000
/** Price per million tokens × this = whole millionths of a nano-dollar per token: exact for every published price. */
const MICRO_NANO = 1_000_000_000
/** Sums of binary fractions miss the decimal by far less; without it 0.0045000000000000005 would round up by one. */
const FLOAT_NOISE_NANO = 1e-4

/** What one model costs. All money is whole nano-dollars, rounded up. */
export interface ModelRates {
  costNano(usage: Usage): number
  /** The most that a call with at most these tokens can cost: every input token at the dearest input class and tier. */
  worstNano(inputTokens: number, outputTokens: number): number
  /** Output tokens that `availableNano` still pays for behind `inputTokens` at their worst; negative when not even the input fits. */
  outputThatFits(availableNano: number, inputTokens: number): number
}

/** US dollars as nano-dollars, rounded to the nearest. Throws `RangeError` for what is not a finite amount of at least 0. */
export function nanoFromUsd(usd: number): number {
  if (!Number.isFinite(usd) || usd < 0) throw new RangeError(`Expected an amount of US dollars of at least 0, got ${usd}.`)
  return Math.round(usd * NANO_PER_USD)
}

/** Nano-dollars as US dollars, for showing only. */
export function usdFromNano(nano: number): number {
  return nano / NANO_PER_USD
}

/** Input tokens of a call in all classes: what `max_input_tokens` and the context window count. */
export function inputTokens(usage: Usage): number {
  return usage.input_uncached + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
}

/** Output tokens of a call as billed, reasoning included. */
export function outputTokens(usage: Usage): number {
  return usage.output + usage.reasoning
}

/** Prices of a model: the configured table, else the price list at `atMs`; null when neither knows the model. */
export function ratesOf(target: Pick<ModelTarget, 'provider' | 'model' | 'price'>, atMs: number): ModelRates | null {
  if (target.price !== null) return configuredRates(target.price)
  const key = keyOf(target)
  const known = steadyRates.get(key)
  if (known !== undefined) return known
  const listed = lookUp(target, ZERO_USAGE, atMs)
  if (listed === null) return null
  if (!isSteady(listed)) return timedRates(target, listed, atMs)
  const rates = steadyRatesOf(target, listed)
  keep(steadyRates, key, rates)
  return rates
}

type ListedModel = Pick<ModelTarget, 'provider' | 'model'>
/** US dollars per million tokens of each class. */
type PerMillion = Readonly<Record<keyof Usage, number>>

/** One price for each class, whatever the time and the size of the call. */
function isSteady({ model, model_price: prices }: PriceCalculation): boolean {
  return !Array.isArray(model.prices) && Object.values(prices).every((price) => price === undefined || typeof price === 'number')
}

function timedRates(target: ListedModel, listed: PriceCalculation, atMs: number): ModelRates {
  return {
    ...linearWorst(dearest(listed)),
    costNano: (usage) =>
      Math.max(0, Math.ceil((lookUp(target, usage, atMs)?.total_price ?? 0) * NANO_PER_USD - FLOAT_NOISE_NANO)),
  }
}

/** The list is asked once for a million tokens of each class: only it knows which price stands in for one that it does not name. */
function steadyRatesOf(target: ListedModel, listed: PriceCalculation): ModelRates {
  const fixed = listed.total_price
  const priceOf = (tokenClass: keyof Usage): number =>
    (lookUp(target, { ...ZERO_USAGE, [tokenClass]: 1_000_000 }, null)?.total_price ?? 0) - fixed
  const perMillion: PerMillion = {
    input_uncached: priceOf('input_uncached'),
    cache_read: priceOf('cache_read'),
    cache_write_5m: priceOf('cache_write_5m'),
    cache_write_1h: priceOf('cache_write_1h'),
    output: priceOf('output'),
    reasoning: priceOf('reasoning'),
  }
  return { ...linearWorst(dearest(listed)), costNano: linearCost(perMillion, fixed) }
}

/** Tokens that a model can hold: the configured number, else that of the price list; null when unknown. */
export function contextWindowOf(target: Pick<ModelTarget, 'provider' | 'model' | 'contextWindow'>): number | null {
  return target.contextWindow ?? lookUp(target, ZERO_USAGE, null)?.model.context_window ?? null
}

const ZERO_USAGE: Usage = { input_uncached: 0, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 0, reasoning: 0 }

/** Far more than the models of one process. */
const MAX_KEPT = 1_000
/** Rates of models that cost the same at any time. */
const steadyRates = new Map<string, ModelRates>()
/** A provider with the one model that was found: matching a name against a whole list costs more than the price of a call. */
const foundModels = new Map<string, PriceOptions>()

function keep<T>(kept: Map<string, T>, key: string, value: T): void {
  if (kept.size >= MAX_KEPT) kept.clear()
  kept.set(key, value)
}

function keyOf({ provider, model }: ListedModel): string {
  return JSON.stringify([provider, model])
}

function lookUp(target: ListedModel, usage: Usage, atMs: number | null): PriceCalculation | null {
  const key = keyOf(target)
  const known = foundModels.get(key)
  const listed = calculate(target, usage, {
    providerId: target.provider,
    ...known,
    ...(atMs === null ? {} : { timestamp: new Date(atMs) }),
  })
  if (listed !== null && known === undefined) keep(foundModels, key, { provider: { ...listed.provider, models: [listed.model] } })
  return listed
}

function calculate(target: Pick<ModelTarget, 'model'>, usage: Usage, options: PriceOptions): PriceCalculation | null {
  const cacheWrite = usage.cache_write_5m + usage.cache_write_1h
  return calcPrice(
    {
      // The list wants the total with the cache classes inside, and the 1h class also inside the writes.
      input_tokens: inputTokens(usage),
      cache_read_tokens: usage.cache_read,
      cache_write_tokens: cacheWrite,
      cache_write_1h_tokens: usage.cache_write_1h,
      output_tokens: outputTokens(usage),
      output_reasoning_tokens: usage.reasoning,
    },
    target.model,
    options,
  )
}

function configuredRates(price: PriceTable): ModelRates {
  const { input, cache_read, cache_write_5m, cache_write_1h, output } = price
  const perMillion = { input_uncached: input, cache_read, cache_write_5m, cache_write_1h, output, reasoning: output }
  const worst = { input: Math.max(input, cache_read, cache_write_5m, cache_write_1h), output, fixed: 0 }
  return { ...linearWorst(worst), costNano: linearCost(perMillion, 0) }
}

function linearCost(perMillion: PerMillion, fixedUsd: number): ModelRates['costNano'] {
  const input = micro(perMillion.input_uncached)
  const cacheRead = micro(perMillion.cache_read)
  const cacheWrite5m = micro(perMillion.cache_write_5m)
  const cacheWrite1h = micro(perMillion.cache_write_1h)
  const output = micro(perMillion.output)
  const reasoning = micro(perMillion.reasoning)
  const fixed = fixedMicroNano(fixedUsd)
  return (usage) =>
    wholeNano(
      tokens(usage.input_uncached) * input +
        tokens(usage.cache_read) * cacheRead +
        tokens(usage.cache_write_5m) * cacheWrite5m +
        tokens(usage.cache_write_1h) * cacheWrite1h +
        tokens(usage.output) * output +
        tokens(usage.reasoning) * reasoning +
        fixed,
    )
}

/** US dollars: per million tokens, and for the request itself. */
interface Worst {
  readonly input: number
  readonly output: number
  readonly fixed: number
}

function linearWorst(worst: Worst): Pick<ModelRates, 'worstNano' | 'outputThatFits'> {
  const input = micro(worst.input)
  const output = micro(worst.output)
  const fixed = fixedMicroNano(worst.fixed)
  return {
    worstNano: (inputCount, outputCount) => wholeNano(tokens(inputCount) * input + tokens(outputCount) * output + fixed),
    outputThatFits: (availableNano, inputCount) => {
      const left = BigInt(Math.floor(availableNano)) * 1_000_000n - tokens(inputCount) * input - fixed
      if (left < 0n) return -1
      return output === 0n ? Number.MAX_SAFE_INTEGER : Number(left / output)
    },
  }
}

function fixedMicroNano(usd: number): bigint {
  return BigInt(Math.ceil(usd * NANO_PER_USD - FLOAT_NOISE_NANO)) * 1_000_000n
}

/** The dearest price per million tokens that could apply to any token of one call, in US dollars. */
function dearest(listed: PriceCalculation): Worst {
  const candidates: ModelPrice[] = [listed.model_price]
  // A price by time of day can change between the bound and the bill; one by date only takes effect long before or after.
  if (Array.isArray(listed.model.prices)) {
    for (const entry of listed.model.prices) if (entry.constraint?.type !== 'start_date') candidates.push(entry.prices)
  }
  let input = 0
  let output = 0
  let fixed = 0
  for (const prices of candidates) {
    for (const [key, value] of Object.entries(prices)) {
      if (value === undefined) continue
      const top = typeof value === 'number' ? value : Math.max(value.base, ...value.tiers.map((tier) => tier.price))
      if (key === 'requests_kcount') fixed = Math.max(fixed, top / 1000)
      else if (/^output(_text)?(_reasoning)?_mtok$/.test(key)) output = Math.max(output, top)
      else if (/^(input|input_text|cache_read|cache_write|cache_write_5m|cache_write_1h)_mtok$/.test(key))
        input = Math.max(input, top)
    }
  }
  return { input, output, fixed }
}

function micro(usdPerMillion: number): bigint {
  return BigInt(Math.max(0, Math.ceil(usdPerMillion * MICRO_NANO - FLOAT_NOISE_NANO)))
}

function tokens(count: number): bigint {
  return BigInt(Math.max(0, Math.ceil(count)))
}

function wholeNano(microNano: bigint): number {
  return Number((microNano + 999_999n) / 1_000_000n)
}
