import type { McpRequestContext, Server } from '@modelcontextprotocol/server'

/** One MCP service, whatever carries it: the doors for stdio and HTTP only move bytes. */
export interface McpServing {
  /** One server for a connection (stdio, a 2025-era HTTP session) or for a single request (2026-07-28 over HTTP). Cheap, and without effects. */
  readonly factory: (context: McpRequestContext) => Server
  /** Tells the URI of each resource that changed. Watches while there is a listener. Returns the function that ends it. */
  onResourceUpdated(listener: (uri: string) => void): () => void
  close(): Promise<void>
}
