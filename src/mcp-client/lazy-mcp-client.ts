import type { RpcProtocol } from '../primitives/json-rpc/contract.ts'
import type { McpClient } from './contract.ts'
import type { McpClientOptions } from './mcp-client.ts'

/** `createMcpClient` at the first call: a process that calls no external server does not load what calls one. */
export function createLazyMcpClient(options: McpClientOptions): McpClient {
  let loading: Promise<McpClient> | null = null
  let isClosed = false
  const load = async (): Promise<McpClient> => {
    const { createMcpClient } = await import('./mcp-client.ts')
    const client = createMcpClient(options)
    // Closed before its first call: it refuses calls in its own words.
    if (isClosed) await client.close()
    return client
  }
  const protocol = (over: 'overHttp' | 'overStdio'): RpcProtocol => ({
    name: 'mcp',
    async call(call) {
      loading ??= load()
      return await (await loading)[over].call(call)
    },
  })
  return {
    overHttp: protocol('overHttp'),
    overStdio: protocol('overStdio'),
    async close() {
      isClosed = true
      await (await loading)?.close()
    },
  }
}
