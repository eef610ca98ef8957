/**
 * The floor of `mcp`: `node mcp-echo-server.ts stdio|http <file>`. A server that the library makes of one handler, which answers every call with the structured
 * content in the file and its text, as the protocol asks of servers. There is no token, limit or check but those of the library.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node'
import { createMcpHandler, isLegacyRequest, Server, type Tool } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'

const [transport, path] = process.argv.slice(2)
if (path === undefined) throw new TypeError('Expected stdio or http, and a file.')
// Written by the benchmark, from an answer of ours.
const { structuredContent } = JSON.parse(readFileSync(path, 'utf8')) as { readonly structuredContent: Record<string, unknown> }
const tool: Tool = { name: 'search', description: 'Echoes', inputSchema: { type: 'object' } }

function factory(): Server {
  const server = new Server({ name: 'echo', version: '1' }, { capabilities: { tools: {} } })
  server.setRequestHandler('tools/list', () => ({ tools: [tool] }))
  server.setRequestHandler('tools/call', () => ({
    content: [{ type: 'text', text: JSON.stringify(structuredContent) }],
    structuredContent,
  }))
  return server
}

/** What the library's adapter takes requests as, under `exactOptionalPropertyTypes`. */
type Incoming = IncomingMessage & { method: string; url: string }

/** Both eras behind one port, as the library's documentation has it. */
function listen(): void {
  const modern = toNodeHandler(createMcpHandler(factory, { legacy: 'reject' }))
  const sessions = new Map<string, NodeStreamableHTTPServerTransport>()
  const answer = async (request: Incoming, response: ServerResponse): Promise<void> => {
    const body = request.method === 'POST' ? await json(request) : undefined
    const known = sessions.get(String(request.headers['mcp-session-id']))
    if (known !== undefined) return known.handleRequest(request, response, body)
    if (!(await isLegacyRequest(await toWebRequest(request, body)))) return modern(request, response, body)
    const session = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, session),
    })
    await factory().connect(session)
    return session.handleRequest(request, response, body)
  }
  const server = createServer(
    (request, response) =>
      // Of a server, a request has both.
      void answer(request as Incoming, response),
  )
  server.listen(0, '127.0.0.1', () => {
    // A server that listens on TCP has an address of this form.
    const { port } = server.address() as AddressInfo
    process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}/mcp` })}\n`)
  })
}

if (transport === 'stdio') serveStdio(factory)
else listen()
