import type * as Client from '@modelcontextprotocol/client'

/** The official client, which is loaded when the first session opens. */
export type Sdk = typeof Client
