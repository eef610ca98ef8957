import { calcPrice } from '@pydantic/genai-prices'
import type { ModelPrice, PriceCalculation } from '@pydantic/genai-prices'
import type { Usage } from '../base/conversation.ts'
import type { ModelTarget, PriceTable } from './services.ts'

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
  const listed = lookUp(target, ZERO_USAGE, atMs)
  if (listed === null) return null
  const { input, output, fixed } = dearest(listed)
  return {
    ...linearWorst(input, output, fixed),
    costNano: (usage) =>
      Math.max(0, Math.ceil((lookUp(target, usage, atMs)?.total_price ?? 0) * NANO_PER_USD - FLOAT_NOISE_NANO)),
  }
}

/** Tokens that a model can hold: the configured number, else that of the price list; null when unknown. */
export function contextWindowOf(target: Pick<ModelTarget, 'provider' | 'model' | 'contextWindow'>): number | null {
  return target.contextWindow ?? lookUp(target, ZERO_USAGE, null)?.model.context_window ?? null
}

const ZERO_USAGE: Usage = { input_uncached: 0, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 0, reasoning: 0 }

function lookUp(target: Pick<ModelTarget, 'provider' | 'model'>, usage: Usage, atMs: number | null): PriceCalculation | null {
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
    { providerId: target.provider, ...(atMs === null ? {} : { timestamp: new Date(atMs) }) },
  )
}

function configuredRates(price: PriceTable): ModelRates {
  const perToken = {
    input_uncached: micro(price.input),
    cache_read: micro(price.cache_read),
    cache_write_5m: micro(price.cache_write_5m),
    cache_write_1h: micro(price.cache_write_1h),
    output: micro(price.output),
    reasoning: micro(price.output),
  }
  return {
    ...linearWorst(Math.max(price.input, price.cache_read, price.cache_write_5m, price.cache_write_1h), price.output, 0),
    costNano: (usage) =>
      wholeNano(
        tokens(usage.input_uncached) * perToken.input_uncached +
          tokens(usage.cache_read) * perToken.cache_read +
          tokens(usage.cache_write_5m) * perToken.cache_write_5m +
          tokens(usage.cache_write_1h) * perToken.cache_write_1h +
          tokens(usage.output) * perToken.output +
          tokens(usage.reasoning) * perToken.reasoning,
      ),
  }
}

function linearWorst(inputUsd: number, outputUsd: number, fixedUsd: number): Pick<ModelRates, 'worstNano' | 'outputThatFits'> {
  const input = micro(inputUsd)
  const output = micro(outputUsd)
  const fixed = BigInt(Math.ceil(fixedUsd * NANO_PER_USD)) * 1_000_000n
  return {
    worstNano: (inputCount, outputCount) => wholeNano(tokens(inputCount) * input + tokens(outputCount) * output + fixed),
    outputThatFits: (availableNano, inputCount) => {
      const left = BigInt(Math.floor(availableNano)) * 1_000_000n - tokens(inputCount) * input - fixed
      if (left < 0n) return -1
      return output === 0n ? Number.MAX_SAFE_INTEGER : Number(left / output)
    },
  }
}

/** The dearest price per million tokens that could apply to any token of one call, in US dollars. */
function dearest(listed: PriceCalculation): { readonly input: number; readonly output: number; readonly fixed: number } {
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
  return BigInt(Math.ceil(usdPerMillion * MICRO_NANO - FLOAT_NOISE_NANO))
}

function tokens(count: number): bigint {
  return BigInt(Math.max(0, Math.ceil(count)))
}

function wholeNano(microNano: bigint): number {
  return Number((microNano + 999_999n) / 1_000_000n)
}
