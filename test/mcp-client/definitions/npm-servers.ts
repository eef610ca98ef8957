import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { fileURLToPath } from 'node:url'
import type { JsonObject } from '../../../src/json.ts'
import type { UpstreamTool } from '../../../src/mcp-client/contract.ts'

export const NPM_SERVERS = ['server-everything', 'server-filesystem', 'server-memory'] as const

/** What a server from npm, started for the question alone, answers to `tools/list`. */
export async function toolsOfNpmServer(name: (typeof NPM_SERVERS)[number]): Promise<readonly UpstreamTool[]> {
  const program = fileURLToPath(new URL(`../../../node_modules/@modelcontextprotocol/${name}/dist/index.js`, import.meta.url))
  const client = new Client({ name: 'definitions-test', version: '0' })
  const args = name === 'server-filesystem' ? [program, import.meta.dirname] : [program]
  await client.connect(new StdioClientTransport({ command: process.execPath, args, stderr: 'ignore' }))
  try {
    const { tools } = await client.listTools()
    // What the client gives is JSON that came over the wire.
    return tools.map(({ name: upstream, title, description, inputSchema, outputSchema, annotations }) => ({
      name: upstream,
      inputSchema: inputSchema as JsonObject,
      ...(title === undefined ? {} : { title }),
      ...(description === undefined ? {} : { description }),
      ...(outputSchema === undefined ? {} : { outputSchema: outputSchema as JsonObject }),
      ...(annotations === undefined ? {} : { annotations: annotations as JsonObject }),
    }))
  } finally {
    await client.close()
  }
}
