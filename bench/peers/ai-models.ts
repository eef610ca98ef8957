import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import type { LanguageModel } from 'ai'

import type { Task } from '../contender.ts'

// The unknown model's name would be warned about at every call.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false })

export function aiModel({ url, wire }: Task): LanguageModel {
  const options = { apiKey: 'none', baseURL: `${url}/v1` }
  return wire === 'anthropic' ? createAnthropic(options)('bench') : createOpenAI(options).chat('bench')
}
