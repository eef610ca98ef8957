/** Our path as a thread takes it: `http_client` in stream mode, the wire's fold as an in-process sink, `file_sink` beside it. */
import type { CreateContender } from '../contender.ts'
import { wireByName } from '../../src/harness/base/wires/known-wires.ts'
import type { Sink } from '../../src/primitives/http-client/contract.ts'
import { createHttpClient } from '../../src/primitives/http-client/http-client.ts'
import createFileSink from '../../system/tools/sinks/file_sink.ts'
import { pathOf } from './raw-http.ts'

export const create: CreateContender = async (folder) => {
  const client = createHttpClient()
  let runs = 0
  return {
    async run({ url, wire }) {
      const fold = wireByName(wire === 'anthropic' ? 'anthropic_messages' : 'openai_chat').createFold()
      const folding: Sink = { write: (event) => fold.push(event), close: async () => {} }
      const file = await createFileSink({ path: `stream-${(runs += 1)}.jsonl` }, { projectPath: folder })
      const result = await client.execute(
        {
          url: url + pathOf(wire),
          method: 'POST',
          body: { model: 'bench', stream: true, messages: [] },
          stream: { transport: 'sse' },
        },
        {
          mode: 'stream',
          sinks: [
            { sink: folding, type: 'fold', onError: 'fail' },
            { sink: file, type: 'file_sink', onError: 'fail' },
          ],
        },
      )
      if (result.error !== null) throw new Error(`${result.error.code}: ${result.error.message}`)
      const lost = result.stream_destinations.reduce((sum, sink) => sum + sink.lost, 0)
      const turn = fold.finish()
      const text = turn.blocks.reduce((sum, block) => sum + (block.type === 'text' ? block.text.length : 0), 0)
      return { text, toolCalls: 0, notes: { lost, events: result.stream_events_count } }
    },
    close: async () => client.close(),
  }
}
