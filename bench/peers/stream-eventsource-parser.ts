/** `node:http` and the floor's folding, with the parser of eventsource-parser between them. */
import { once } from 'node:events'

import { createParser } from 'eventsource-parser'

import type { Contender } from '../contender.ts'
import { createRawFold, pathOf, post } from '../contenders/raw-http.ts'

export async function create(): Promise<Contender> {
  return {
    async run({ url, wire }) {
      const response = await post(url + pathOf(wire), { model: 'bench', stream: true, messages: [] })
      const fold = createRawFold(wire)
      const parser = createParser({ onEvent: ({ data }) => fold.push(data) })
      response.setEncoding('utf8')
      response.on('data', (text: string) => parser.feed(text))
      await once(response, 'end')
      return { text: fold.finish().text.length, toolCalls: 0 }
    },
  }
}
