/** Lower bound of everything: the bytes arrive and are counted. */
import { once } from 'node:events'

import type { Contender } from '../contender.ts'
import { pathOf, post } from './raw-http.ts'

export async function create(): Promise<Contender> {
  return {
    async run({ url, wire }) {
      const response = await post(url + pathOf(wire), { model: 'bench', stream: true, messages: [] })
      let bytes = 0
      response.on('data', (chunk: Buffer) => (bytes += chunk.length))
      await once(response, 'end')
      return { text: null, toolCalls: 0, notes: { bytes } }
    },
  }
}
