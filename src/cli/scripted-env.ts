/** Which API a scripted model is asked over. */
export type WireFlag = 'anthropic' | 'openai'

/** The environment that points Kiwi at a scripted model: base URLs, keys that are no secrets, and which tool and model tiers use. */
export function scriptedEnv(
  served: { readonly anthropicBaseUrl: string; readonly openaiBaseUrl: string },
  wire: WireFlag,
): Readonly<Record<string, string>> {
  return {
    ANTHROPIC_BASE_URL: served.anthropicBaseUrl,
    ANTHROPIC_API_KEY: 'scripted',
    OPENAI_BASE_URL: served.openaiBaseUrl,
    OPENAI_API_KEY: 'scripted',
    KIWI_MODEL_TOOL: wire === 'openai' ? 'openai_thread' : 'anthropic_thread',
    KIWI_MODEL: 'scripted-model',
  }
}
