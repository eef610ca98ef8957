import type { Contender } from '../contender.ts'
import { pathOf, post, readTurn } from './raw-http.ts'

export async function create(): Promise<Contender> {
  return {
    async run({ url, wire }) {
      const response = await post(url + pathOf(wire), { model: 'bench', stream: true, messages: [] })
      const turn = await readTurn(wire, response)
      return { text: turn.text.length, toolCalls: 0 }
    },
  }
}
