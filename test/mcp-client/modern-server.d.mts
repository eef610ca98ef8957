import type { McpServer } from '@modelcontextprotocol/server'

export declare const seen: { cancelled: number }
export declare function createServer(context?: unknown): McpServer
