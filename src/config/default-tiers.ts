import type { TierFile } from './config-file.ts'

const anthropic = (model: string): TierFile => ({ tool: 'anthropic_thread', model })
const openai = (model: string): TierFile => ({ tool: 'openai_thread', model })

/** What a tier means where no configuration says otherwise, by endpoint tool. Every model stands in the price list. */
export const DEFAULT_TIERS: Readonly<Record<string, Readonly<Record<string, TierFile>>>> = {
  anthropic_thread: {
    fast: anthropic('claude-haiku-4-5'),
    balanced: anthropic('claude-sonnet-5'),
    general: anthropic('claude-sonnet-5'),
    reasoning: anthropic('claude-opus-5'),
    expert: anthropic('claude-opus-5'),
    orchestrator: anthropic('claude-opus-5'),
  },
  openai_thread: {
    fast: openai('gpt-5-mini'),
    balanced: openai('gpt-5'),
    general: openai('gpt-5'),
    reasoning: openai('gpt-5.2'),
    expert: openai('gpt-5.2'),
    orchestrator: openai('gpt-5.2'),
  },
}
