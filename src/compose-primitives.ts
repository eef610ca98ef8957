import { createLazyMcpClient } from './mcp-client/lazy-mcp-client.ts'
import type { Primitive } from './kernel/chain/primitive.ts'
import { createHttpPrimitive } from './primitives/http-client/http-client.ts'
import { createJsonRpcOverHttp } from './primitives/json-rpc/over-http.ts'
import { createJsonRpcOverStdio } from './primitives/json-rpc/over-stdio.ts'
import { withProtocols } from './primitives/json-rpc/rpc-primitive.ts'
import { createRuntimePrimitive } from './primitives/runtime/runtime.ts'
import type { Sandbox } from './primitives/sandbox/contract.ts'
import { createProcessOpener } from './primitives/subprocess/open-process.ts'
import { createSubprocessPrimitive } from './primitives/subprocess/subprocess.ts'

export interface PrimitivesOptions {
  readonly sandbox: Sandbox
  readonly userSpace: string
  /** Reads the environment of this process for what a tool file lets through to a command. */
  readonly env: (name: string) => string | undefined
}

/** The ends of all tool chains, with the protocols that are spoken over them. */
export interface Primitives {
  readonly list: readonly Primitive[]
  /** Ends connections, workers and external servers. */
  close(): Promise<void>
}

export function createPrimitives({ sandbox, userSpace, env }: PrimitivesOptions): Primitives {
  const http = createHttpPrimitive()
  const subprocess = createSubprocessPrimitive({ sandbox, env })
  const runtime = createRuntimePrimitive({ sandbox, userSpace })
  const openProcess = createProcessOpener({ sandbox, env })
  const mcp = createLazyMcpClient({ openProcess })
  return {
    list: [
      withProtocols(http, [createJsonRpcOverHttp(http), mcp.overHttp]),
      withProtocols(subprocess, [createJsonRpcOverStdio(openProcess), mcp.overStdio]),
      runtime,
    ],
    async close() {
      await Promise.all([mcp.close(), runtime.close()])
      http.close()
    },
  }
}
