/** The floor: `node:http`, a byte split at line ends, one `JSON.parse` per event, and the least folding that is correct. */
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'

import type { BenchWire } from '../wire-bytes.ts'

const agent = new Agent({ keepAlive: true })
const DATA_PREFIX_LENGTH = 'data: '.length
/** No other field that the server sends begins with it. */
const LETTER_D = 100
const LINE_FEED = 10

export interface RawTurn {
  readonly text: string
  readonly tool: { readonly id: string; readonly name: string; readonly arguments: string } | null
}

export function pathOf(wire: BenchWire): string {
  return wire === 'anthropic' ? '/v1/messages' : '/v1/chat/completions'
}

export async function post(url: string, body: unknown): Promise<IncomingMessage> {
  const payload = Buffer.from(JSON.stringify(body))
  const sent = request(url, {
    agent,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-length': payload.length,
      'x-api-key': 'none',
      'anthropic-version': '2023-06-01',
    },
  })
  sent.end(payload)
  const [response] = (await once(sent, 'response')) as [IncomingMessage] // node:http: a response event carries one message
  return response
}

/** Calls `onData` with the payload of each `data:` line. */
function createByteSplit(onData: (payload: string) => void): (chunk: Buffer) => void {
  let rest: Buffer | null = null
  return (chunk) => {
    const bytes: Buffer = rest === null ? chunk : Buffer.concat([rest, chunk])
    let start = 0
    for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, start)) {
      if (bytes[start] === LETTER_D) onData(bytes.toString('utf8', start + DATA_PREFIX_LENGTH, end))
      start = end + 1
    }
    rest = start < bytes.length ? bytes.subarray(start) : null
  }
}

interface RawFold {
  readonly push: (payload: string) => void
  finish(): RawTurn
}

export function createRawFold(wire: BenchWire): RawFold {
  const text: string[] = []
  const fragments: string[] = []
  let tool: { id: string; name: string } | null = null
  return {
    push: wire === 'anthropic' ? pushAnthropic : pushOpenai,
    finish: () => ({ text: text.join(''), tool: tool === null ? null : { ...tool, arguments: fragments.join('') } }),
  }

  function pushAnthropic(payload: string): void {
    // the bytes come from model-server.ts
    const event = JSON.parse(payload) as AnthropicEvent
    if (event.type === 'content_block_delta') {
      if (event.delta.type === 'text_delta') text.push(event.delta.text)
      else fragments.push(event.delta.partial_json)
    } else if (event.type === 'content_block_start' && event.content_block.type === 'tool_use') {
      tool = { id: event.content_block.id, name: event.content_block.name }
    }
  }

  function pushOpenai(payload: string): void {
    if (payload === '[DONE]') return
    // the bytes come from model-server.ts
    const { choices } = JSON.parse(payload) as OpenaiChunk
    const delta = choices[0]?.delta
    if (delta === undefined) return
    if (typeof delta.content === 'string') text.push(delta.content)
    for (const call of delta.tool_calls ?? []) {
      if (call.id !== undefined) tool = { id: call.id, name: call.function.name ?? '' }
      fragments.push(call.function.arguments)
    }
  }
}

export async function readTurn(wire: BenchWire, response: IncomingMessage): Promise<RawTurn> {
  const fold = createRawFold(wire)
  response.on('data', createByteSplit(fold.push))
  await once(response, 'end')
  return fold.finish()
}

type AnthropicEvent =
  | {
      readonly type: 'content_block_start'
      readonly content_block: { readonly type: string; readonly id: string; readonly name: string }
    }
  | {
      readonly type: 'content_block_delta'
      readonly delta:
        | { readonly type: 'text_delta'; readonly text: string }
        | { readonly type: 'input_json_delta'; readonly partial_json: string }
    }
  | { readonly type: 'message_start' | 'content_block_stop' | 'message_delta' | 'message_stop' }

interface OpenaiChunk {
  readonly choices: readonly {
    readonly delta: {
      readonly content?: string | null
      readonly tool_calls?: readonly {
        readonly id?: string
        readonly function: { readonly name?: string; readonly arguments: string }
      }[]
    }
  }[]
}
