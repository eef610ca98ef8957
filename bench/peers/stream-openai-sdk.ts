/** The cheapest streaming call of the official SDK: the raw chunks of `create({stream: true})`. */
import OpenAI from 'openai'

import type { Contender } from '../contender.ts'

export async function create(): Promise<Contender> {
  return {
    async run({ url }) {
      const client = new OpenAI({ apiKey: 'none', baseURL: `${url}/v1`, maxRetries: 0 })
      const stream = await client.chat.completions.create({
        model: 'bench',
        messages: [{ role: 'user', content: 'go' }],
        stream: true,
        stream_options: { include_usage: true },
      })
      const text: string[] = []
      for await (const chunk of stream) {
        const content = chunk.choices[0]?.delta.content
        if (typeof content === 'string') text.push(content)
      }
      return { text: text.join('').length, toolCalls: 0 }
    },
  }
}
