import { createServer } from 'node:http'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, Server } from '@modelcontextprotocol/server'
import type { JsonObject } from '../../src/json.ts'

/** One tool as a stand-in describes it. */
export interface StandInTool {
  readonly name: string
  readonly description?: string
  readonly inputSchema?: JsonObject
  readonly annotations?: JsonObject
}

/** A Streamable HTTP server whose tools are what the test says at the moment; a call answers with its name and arguments. */
export interface StandIn extends AsyncDisposable {
  readonly url: string
  tools: readonly StandInTool[]
  /** Answered instead, for so many requests. */
  refuse: { readonly status: number; times: number } | null
  /** What every list of tools waits for. */
  hold: Promise<void>
  /** `authorization` of every request, in order. */
  readonly authorizations: readonly (string | undefined)[]
  /** Names of the tools that were called. */
  readonly calls: readonly string[]
}

export async function startStandIn(tools: readonly StandInTool[], options: { readonly token?: string } = {}): Promise<StandIn> {
  const authorizations: (string | undefined)[] = []
  const calls: string[] = []
  const handler = createMcpHandler(() => {
    const server = new Server({ name: 'stand-in', version: '1.0.0' }, { capabilities: { tools: {} } })
    server.setRequestHandler('tools/list', async () => {
      await standIn.hold
      return {
        tools: standIn.tools.map(({ inputSchema, ...tool }) => ({
          inputSchema: { type: 'object' as const, ...inputSchema },
          ...tool,
        })),
      }
    })
    server.setRequestHandler('tools/call', ({ params }) => {
      calls.push(params.name)
      return { content: [{ type: 'text' as const, text: JSON.stringify({ name: params.name, arguments: params.arguments }) }] }
    })
    return server
  })
  const answer = toNodeHandler(handler)
  const http = createServer((request, response) => {
    const { authorization } = request.headers
    authorizations.push(authorization)
    const { refuse } = standIn
    if (refuse !== null && refuse.times > 0) {
      refuse.times -= 1
      response.writeHead(refuse.status).end()
    } else if (options.token !== undefined && authorization !== `Bearer ${options.token}`) response.writeHead(401).end()
    else {
      // The adapter's types do not say that Node's own requests fit.
      void answer(request as Parameters<typeof answer>[0], response)
    }
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const address = http.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  const standIn: StandIn = {
    url: `http://127.0.0.1:${address.port}/mcp`,
    tools,
    refuse: null,
    hold: Promise.resolve(),
    authorizations,
    calls,
    async [Symbol.asyncDispose]() {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
      await handler.close()
    },
  }
  return standIn
}
