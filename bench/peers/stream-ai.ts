import { streamText } from 'ai'

import type { Contender } from '../contender.ts'
import { aiModel } from './ai-models.ts'

export async function create(): Promise<Contender> {
  return {
    async run(task) {
      const result = streamText({ model: aiModel(task), prompt: 'go', maxRetries: 0 })
      const text: string[] = []
      for await (const piece of result.textStream) text.push(piece)
      return { text: text.join('').length, toolCalls: 0 }
    },
  }
}
