import type { McpRequestContext, Server } from '@modelcontextprotocol/server'
import type { JsonObject } from '../json.ts'
import type { Kernel } from '../kernel/contract.ts'
import type { ThreadsClient } from '../threads/threads-client.ts'

/** What the calls of one project go to. */
export interface McpProject {
  readonly kernel: Kernel
  readonly threads: ThreadsClient
  /** The same value without the secrets that this process knows. The kernel's results need no more of it. */
  redact(value: JsonObject): JsonObject
}

export interface McpServingOptions {
  /** Asked at each call and expected to be cached. It may load code, so nothing asks before something of a project is used. */
  readonly open: (projectPath: string) => Promise<McpProject>
  /** Absolute; used by calls that name no project, and for resources, prompts and tasks. */
  readonly projectPath: string
  readonly version: string
  /** False leaves `sign` out and refuses it. Default true. */
  readonly signing?: boolean
  /** Default `CALL_DEADLINE_MS`. */
  readonly deadlineMs?: number
  /** Default `PROGRESS_EVERY_MS`. */
  readonly progressMs?: number
}

/** One MCP service, whatever carries it: the doors for stdio and HTTP only move bytes. */
export interface McpServing {
  /** One server for a connection (stdio, a 2025-era HTTP session) or for a single request (2026-07-28 over HTTP). Cheap, and without effects. */
  readonly factory: (context: McpRequestContext) => Server
  /**
   * Tells the URI of each resource that changed. Watches while there is a listener, so a door listens while a client does. Returns the function
   * that ends it. Connections of the older era need no door for this: their server listens by itself.
   */
  onResourceUpdated(listener: (uri: string) => void): () => void
  /** The same for resources that have come. */
  onResourceListChanged(listener: () => void): () => void
  /** Ends the watching, and aborts every call in flight. What threads do goes on. */
  close(): Promise<void>
}
