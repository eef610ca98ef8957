import type { ConnectorConfig } from '../../../src/connectors/contract.ts'
import type { JsonObject } from '../../../src/json.ts'

const SHARED = {
  era: null,
  outputDir: '.ai/tools/mcp/shop',
  toolPrefix: 'shop_',
  capabilities: [],
  tools: null,
  server: 'shop',
} as const

/** A connector of a server over HTTP, as far as it is not written otherwise. */
export function httpConnector(
  changes: Partial<ConnectorConfig> = {},
  transport: { readonly mcpUrl?: string; readonly headers?: JsonObject; readonly auth?: JsonObject | null } = {},
): ConnectorConfig {
  const reached = { kind: 'http', mcpUrl: 'https://shop.example.com/mcp', headers: {}, auth: null, ...transport } as const
  return { ...SHARED, transport: reached, ...changes }
}

export function stdioConnector(
  changes: Partial<ConnectorConfig> = {},
  transport: {
    readonly command?: string
    readonly args?: readonly string[]
    readonly env?: JsonObject
    readonly cwd?: string
  } = {},
): ConnectorConfig {
  const started = {
    kind: 'stdio',
    command: 'node',
    args: ['server.js'],
    env: {},
    cwd: '.',
    program: ['node_modules'],
    ...transport,
  } as const
  return { ...SHARED, transport: started, ...changes }
}
