/** The cheapest streaming call of the official SDK: the raw events of `create({stream: true})`. */
import Anthropic from '@anthropic-ai/sdk'

import type { Contender } from '../contender.ts'

export async function create(): Promise<Contender> {
  return {
    async run({ url }) {
      const client = new Anthropic({ apiKey: 'none', baseURL: url, maxRetries: 0 })
      const stream = await client.messages.create({
        model: 'bench',
        max_tokens: 1024,
        messages: [{ role: 'user', content: 'go' }],
        stream: true,
      })
      const text: string[] = []
      for await (const event of stream) {
        if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') text.push(event.delta.text)
      }
      return { text: text.join('').length, toolCalls: 0 }
    },
  }
}
