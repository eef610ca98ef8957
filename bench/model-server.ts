/**
 * The model server of the benchmarks, in a process of its own: it answers with bytes that were rendered before the first request.
 *
 *   POST /stream/<deltas>/v1/messages, /stream/<deltas>/v1/chat/completions     one long answer
 *   POST /loop/<turns>/<tool>/v1/…       a tool call until the conversation holds turns - 1 tool results, then a text
 *
 * What a loop answers depends only on the number of tool results in the request, counted in its bytes.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'

import { type BenchWire, renderAnswer } from './wire-bytes.ts'

/** What the kernel gives a reader of a busy socket at once. */
const CHUNK_BYTES = 65_536
const LOOP_TEXT_DELTAS = 40

const rendered = new Map<string, Buffer>()

function once(key: string, render: () => Buffer): Buffer {
  const known = rendered.get(key)
  if (known !== undefined) return known
  const bytes = render()
  rendered.set(key, bytes)
  return bytes
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

/** Occurrences of a marker that stands once in each tool result; escaped text cannot hold an unescaped quote. */
function countToolResults(wire: BenchWire, body: Buffer): number {
  const marker = wire === 'anthropic' ? '"tool_use_id"' : '"tool_call_id"'
  let count = 0
  for (let at = body.indexOf(marker); at !== -1; at = body.indexOf(marker, at + marker.length)) count += 1
  return count
}

function loopAnswer(wire: BenchWire, turns: number, tool: string, toolResults: number): Buffer {
  const done = toolResults >= turns - 1
  return once(`loop ${wire} ${turns} ${tool} ${done ? 'done' : toolResults}`, () => {
    const input = tool === 'execute' ? executeInput(toolResults) : { path: `notes/${toolResults}.md` }
    const text = JSON.stringify(input)
    const argumentFragments = [text.slice(0, 5), text.slice(5, 12), text.slice(12)]
    return renderAnswer(wire, LOOP_TEXT_DELTAS, done ? null : { id: `call_${toolResults}`, name: tool, argumentFragments })
  })
}

/** The same call through the `execute` meta-tool. */
function executeInput(step: number): object {
  return { item_type: 'tool', item_id: 'bench_note', parameters: { path: `notes/${step}.md` } }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await bodyOf(request)
  const [, kind, amount, third] = (request.url ?? '').split('/')
  const wire: BenchWire = (request.url ?? '').endsWith('/messages') ? 'anthropic' : 'openai'
  const count = Number(amount)
  const bytes =
    kind === 'loop'
      ? loopAnswer(wire, count, third ?? 'note', countToolResults(wire, body))
      : once(`stream ${wire} ${count}`, () => renderAnswer(wire, count, null))
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  Readable.from(chunksOf(bytes)).pipe(response)
}

function* chunksOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : new Error(String(error))))
})
server.listen(0, '127.0.0.1', () => {
  // listen on a TCP port always gives an AddressInfo
  process.send?.({ port: (server.address() as AddressInfo).port })
})
process.once('disconnect', () => process.exit(0))
