/**
 * A service of nothing but fixtures: the tools, resources and prompts that the conformance suite looks for by name. Mounted on the same doors as
 * Kiwi's own service, it shows what those doors and the library below them do where Kiwi itself has nothing to ask about.
 */
import { randomBytes } from 'node:crypto'
import { createRequestStateCodec, McpServer, type McpRequestContext, type Server } from '@modelcontextprotocol/server'
import type { McpServing } from '../../src/mcp/contract.ts'
import { CONTENT_TOOLS } from './everything-content.ts'
import { inputTools, type InputState } from './everything-inputs.ts'
import { legacyTools } from './everything-legacy.ts'
import { addPrompts, addResources } from './everything-items.ts'
import { createTaskStore, serveTasks, taskTools, TASKS_EXTENSION } from './everything-tasks.ts'
import { serveTools } from './fixture-tools.ts'

/** State of requests and tasks outlives the server of one request, so it lives here. */
export function createEverythingServing(): McpServing {
  const codec = createRequestStateCodec<InputState>({ key: randomBytes(32) })
  const tasks = createTaskStore()
  const tools = [...CONTENT_TOOLS, ...inputTools(codec), ...legacyTools(), ...taskTools({ tasks, codec })]
  const factory = ({ era }: McpRequestContext): Server => {
    const mcp = new McpServer(
      { name: 'everything', version: '1.0.0' },
      { capabilities: CAPABILITIES, requestState: { verify: (state, context) => codec.verify(state, context) } },
    )
    serveTools(mcp.server, tools)
    addResources(mcp, era)
    addPrompts(mcp)
    serveTasks(mcp.server, tasks)
    return mcp.server
  }
  const watched = { onResourceUpdated: () => () => undefined, onResourceListChanged: () => () => undefined }
  return { factory, ...watched, close: async () => tasks.close() }
}

/** Lists of tools and prompts that change are no part of what a door carries, so none is promised. */
const CAPABILITIES = {
  logging: {},
  completions: {},
  tools: { listChanged: false },
  prompts: { listChanged: false },
  resources: { subscribe: true, listChanged: true },
  extensions: { [TASKS_EXTENSION]: {} },
}
