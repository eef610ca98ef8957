/** Which API a scripted model is asked over. */
export type WireFlag = 'anthropic' | 'openai'

/** The environment that points Kiwi at a scripted model: base URLs, keys that are no secrets, and which tool and model tiers use. */
export function scriptedEnv(baseUrl: string, wire: WireFlag, model = 'scripted-model'): Readonly<Record<string, string>> {
  return {
    ANTHROPIC_BASE_URL: baseUrl,
    ANTHROPIC_API_KEY: 'scripted',
    OPENAI_BASE_URL: `${baseUrl}/v1`,
    OPENAI_API_KEY: 'scripted',
    KIWI_MODEL_TOOL: wire === 'openai' ? 'openai_thread' : 'anthropic_thread',
    KIWI_MODEL: model,
  }
}
