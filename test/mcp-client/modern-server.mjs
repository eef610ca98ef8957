// A server of the SDK (2026-07-28 and older eras) over stdio, and a factory for tests that serve it over HTTP.
import { McpServer } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import * as z from 'zod/v4'

/** What the tools of one process have seen, for tests in the same process. */
export const seen = { cancelled: 0 }

export function createServer() {
  const server = new McpServer({ name: 'modern', version: '1.0.0' }, { capabilities: { tools: { listChanged: true } } })
  server.registerTool('echo', { description: 'Says it again', inputSchema: z.object({ text: z.string() }) }, ({ text }) => ({
    content: [{ type: 'text', text }],
  }))
  server.registerTool('count', { inputSchema: z.object({ to: z.number() }) }, async ({ to }, ctx) => {
    const { progressToken } = ctx.mcpReq._meta ?? {}
    for (let progress = 1; progress <= to; progress += 1) {
      await ctx.mcpReq.notify({
        method: 'notifications/progress',
        params: { progressToken, progress, total: to, message: `step ${progress}` },
      })
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return { content: [{ type: 'text', text: 'counted' }] }
  })
  server.registerTool('wait', {}, (ctx) => {
    return new Promise((resolve) => {
      ctx.mcpReq.signal.addEventListener('abort', () => {
        seen.cancelled += 1
        resolve({ content: [] })
      })
    })
  })
  server.registerTool('cancelled', {}, () => ({ content: [{ type: 'text', text: String(seen.cancelled) }] }))
  server.registerTool('grow', {}, () => {
    server.registerTool('grown', {}, () => ({ content: [] }))
    return { content: [] }
  })
  return server
}

if (process.argv[1]?.endsWith('modern-server.mjs'))
  serveStdio(createServer, process.argv[2] === 'modern-only' ? { legacy: 'reject' } : {})
