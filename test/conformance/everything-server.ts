/**
 * A service of nothing but fixtures: the tools, resources and prompts that the conformance suite looks for by name. Mounted on the same doors as
 * Kiwi's own service, it shows what those doors and the library below them do where Kiwi itself has nothing to ask about.
 */
import { randomBytes } from 'node:crypto'
import { createRequestStateCodec, McpServer, type McpRequestContext, type Server } from '@modelcontextprotocol/server'
import type { McpServing } from '../../src/mcp/contract.ts'
import { addContentTools } from './everything-content.ts'
import { addInputTools, type InputState } from './everything-inputs.ts'
import { addLegacyTools } from './everything-legacy.ts'
import { addPrompts, addResources } from './everything-items.ts'
import { addTaskTools, createTaskStore, TASKS_EXTENSION } from './everything-tasks.ts'

/** State of requests and tasks outlives the server of one request, so it lives here. */
export function createEverythingServing(): McpServing {
  const codec = createRequestStateCodec<InputState>({ key: randomBytes(32) })
  const tasks = createTaskStore()
  const factory = ({ era }: McpRequestContext): Server => {
    const mcp = new McpServer(
      { name: 'everything', version: '1.0.0' },
      {
        capabilities: {
          logging: {},
          completions: {},
          resources: { subscribe: true, listChanged: true },
          extensions: { [TASKS_EXTENSION]: {} },
        },
        requestState: { verify: (state, context) => codec.verify(state, context) },
      },
    )
    addContentTools(mcp)
    addInputTools(mcp, codec)
    addLegacyTools(mcp)
    addResources(mcp, era)
    addPrompts(mcp)
    addTaskTools(mcp, { tasks, codec })
    return mcp.server
  }
  const watched = { onResourceUpdated: () => () => undefined, onResourceListChanged: () => () => undefined }
  return { factory, ...watched, close: async () => tasks.close() }
}
