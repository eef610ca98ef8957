/**
 * An MCP server (2025-11-25, written by hand) with a tool `echo` that works, and one fault by the name of its mode. It runs on its own over stdio
 * (`node hostile-server MODE`) and inside a test over HTTP. It uses only what every Node has.
 */
import * as http from 'node:http'
import { argv, exit, stderr, stdin, stdout } from 'node:process'
import { createInterface } from 'node:readline'

const MODES = [
  'good',
  'long_line',
  'deep_json',
  'wrong_id',
  'duplicate_id',
  'result_and_error',
  'id_type',
  'bad_result',
  'garbage',
  'garbage_first',
  'hang',
  'progress_forever',
  'crash',
  'exit_first',
  'exit_at_probe',
  'silent_at_probe',
  'endless_pages',
  'cursor_loop',
  'many_tools',
  'changed_tools',
  'flood',
  'sampling',
  'elicitation',
  'roots',
  'stderr_flood',
  'ping',
]

/** Where answers go: the output of the process, or the stream of one HTTP request. */

const MEGABYTE = 'x'.repeat(1024 * 1024)

/** One server; `cancelled` are the ids whose calls were given up. */
function createHostileServer(mode) {
  let listed = 0
  const cancelled = []
  const echo = { name: 'echo', inputSchema: { type: 'object' } }
  const fault = { name: 'fault', inputSchema: { type: 'object' } }

  function list(cursor) {
    listed += 1
    if (mode === 'endless_pages') return { tools: [{ ...echo, name: `tool_${listed}` }], nextCursor: `page-${listed}` }
    if (mode === 'cursor_loop') return { tools: [echo], nextCursor: cursor === 'a' ? 'b' : 'a' }
    if (mode === 'many_tools')
      return {
        tools: Array.from({ length: 300 }, (_, index) => ({ ...echo, name: `t${listed}_${index}` })),
        nextCursor: `page-${listed}`,
      }
    if (mode === 'bad_result') return { tools: 'none' }
    return { tools: [mode === 'changed_tools' ? { ...echo, description: `version ${listed}` } : echo, fault] }
  }

  return {
    cancelled,
    async take({ id, method, params }, wire) {
      const reply = (result) => wire.send({ jsonrpc: '2.0', id, result })
      if (method === 'initialize') {
        if (mode === 'exit_first') return wire.die()
        if (mode === 'garbage_first') {
          await wire.raw('{"level":30,"msg":"Server is starting..."}')
          return wire.endFrame()
        }
        return reply({
          protocolVersion: '2025-11-25',
          capabilities: { tools: { listChanged: true } },
          serverInfo: { name: mode, version: '1' },
        })
      }
      if (method === 'server/discover' && mode === 'exit_at_probe') return wire.die()
      if (method === 'server/discover' && mode === 'silent_at_probe') return
      if (method === 'notifications/cancelled') cancelled.push(params?.requestId)
      // A notification, or an answer to a request of ours.
      if (id === undefined || method === undefined) return
      if (method === 'tools/list') return reply(list(params?.cursor))
      if (method !== 'tools/call') return wire.send({ jsonrpc: '2.0', id, error: { code: -32_601, message: 'no such method' } })
      const text = JSON.stringify(params?.arguments ?? {})
      const result = { content: [{ type: 'text', text }] }
      if (params?.name === 'wait') return
      if (params?.name === 'echo') return reply(result)
      if (params?.name === 'cancelled') return reply({ content: [], structuredContent: { cancelled } })
      await misbehave(mode, { id, token: params?._meta?.progressToken, result, wire })
    },
  }
}

/** What comes in place of the answer of the tool `fault`. */
async function misbehave(mode, { id, token, result, wire }) {
  const answer = { jsonrpc: '2.0', id, result }
  switch (mode) {
    case 'long_line':
      for (let sent = 0; sent < 100; sent += 1) if (!(await wire.raw(MEGABYTE))) return
      return wire.endFrame()
    case 'deep_json':
      for (let sent = 0; sent < 9; sent += 1) await wire.raw('['.repeat(1024 * 1024))
      return wire.endFrame()
    case 'wrong_id':
      return wire.send({ ...answer, id: 424_242 })
    case 'duplicate_id':
      wire.send(answer)
      return wire.send(answer)
    case 'result_and_error':
      return wire.send({ ...answer, error: { code: -32_603, message: 'both' } })
    case 'id_type':
      return wire.send({ ...answer, id: String(id) })
    case 'garbage':
      await wire.raw('\u001B[31mDEBUG: not a message')
      return wire.endFrame()
    case 'flood':
      for (;;) {
        const more = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'
        if (!(await wire.raw(more))) return
        wire.endFrame()
      }
    case 'sampling':
      return wire.send({ jsonrpc: '2.0', id: 1, method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } })
    case 'elicitation':
      return wire.send({
        jsonrpc: '2.0',
        id: 1,
        method: 'elicitation/create',
        params: { message: 'Your password?', requestedSchema: {} },
      })
    case 'roots':
      return wire.send({ jsonrpc: '2.0', id: 1, method: 'roots/list' })
    case 'ping':
      wire.send({ jsonrpc: '2.0', id: 'ping-1', method: 'ping' })
      return wire.send(answer)
    case 'changed_tools':
      wire.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
      return wire.send(answer)
    case 'progress_forever':
      for (let progress = 1; wire.isOpen(); progress += 1) {
        wire.send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress } })
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      return
    case 'crash':
      await wire.log('fatal: \u001B[2Jout of luck\n')
      return wire.die()
    case 'stderr_flood':
      for (let sent = 0; sent < 100; sent += 1) await wire.log(MEGABYTE)
      return wire.send(answer)
    default:
      // It hangs.
      return
  }
}

/** The same server over Streamable HTTP; `form` is how it answers. */
export async function serveHostile(mode, form = 'events') {
  const server = createHostileServer(mode)
  const requests = []
  const listener = http.createServer((request, response) => {
    requests.push(request)
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      if (request.method !== 'POST') return void response.writeHead(405).end()
      // What the client of the SDK sent.
      const message = JSON.parse(Buffer.concat(chunks).toString('utf8'))
      if (message.id === undefined) {
        void server.take(message, httpWire(response, form))
        return void response.writeHead(202).end()
      }
      response.writeHead(200, { 'content-type': form === 'json' ? 'application/json' : 'text/event-stream' })
      response.flushHeaders()
      void server.take(message, httpWire(response, form))
    })
  })
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const address = listener.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    cancelled: server.cancelled,
    requests,
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

function httpWire(response, form) {
  let inFrame = false
  const write = (text) => !response.destroyed && !response.writableEnded && response.write(text)
  return {
    isOpen: () => !response.destroyed,
    log: () => Promise.resolve(),
    send(message) {
      if (form === 'json') return void (response.writableEnded || response.end(JSON.stringify(message)))
      write(`data: ${JSON.stringify(message)}\n\n`)
    },
    async raw(text) {
      const isFlowing = write(form === 'json' || inFrame ? text : `data: ${text}`)
      inFrame = true
      if (response.destroyed || response.writableEnded) return false
      if (!isFlowing) await drained(response)
      return !response.destroyed && !response.writableEnded
    },
    endFrame() {
      inFrame = false
      if (form === 'json') response.end()
      else write('\n\n')
    },
    die: () => response.destroy(),
  }
}

async function drained(response) {
  const { promise, resolve } = Promise.withResolvers()
  const done = () => resolve()
  response.on('drain', done).on('close', done)
  await promise
  response.off('drain', done).off('close', done)
}

function serveStdio(mode) {
  const server = createHostileServer(mode)
  const wire = {
    isOpen: () => true,
    log: async (text) => void (await new Promise((resolve) => stderr.write(text, resolve))),
    send: (message) => void stdout.write(`${JSON.stringify(message)}\n`),
    async raw(text) {
      if (!stdout.write(text)) await new Promise((resolve) => stdout.once('drain', resolve))
      return true
    },
    endFrame: () => void stdout.write('\n'),
    die: () => exit(7),
  }
  createInterface({ input: stdin })
    // One line is one message of the client.
    .on('line', (line) => void server.take(JSON.parse(line), wire))
    .on('close', () => exit(0))
}

const mode = MODES.find((name) => name === argv[2])
if (argv[1]?.endsWith('hostile-server.mjs') && mode !== undefined) serveStdio(mode)
