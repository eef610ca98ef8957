import { Server, ProtocolError, type CallToolResult, type Tool } from '@modelcontextprotocol/server'
import type { MetaToolRequest, MetaToolResult } from '../kernel/contract.ts'
import { KiwiError, toEnvelope } from '../kernel/errors.ts'
import { META_TOOLS } from '../kernel/meta-tools/meta-tools.ts'
import { boundedResult } from './bounded-result.ts'
import { parseCallArguments, projectOfCall } from './call-arguments.ts'
import type { McpServing, McpServingOptions } from './contract.ts'
import { CALL_DEADLINE_MS, withDeadline } from './deadline.ts'

/**
 * A factory of MCP servers that expose the five meta-tools. It has no effect until a tool is called, because clients may probe a server
 * with one connection and use it with another; and it lists the same tools whatever is installed.
 *
 * Every failure of a call is a result with `isError` and the error envelope, which a model can read and act on; only an unknown tool is a protocol error.
 */
export function createMcpServing(options: McpServingOptions): McpServing {
  const tools = META_TOOLS.map(shownTool)
  const closed = new AbortController()
  const factory = (): Server => {
    const server = new Server(
      { name: 'kiwi', title: 'Kiwi', version: options.version },
      { capabilities: { tools: {} }, instructions: INSTRUCTIONS },
    )
    server.setRequestHandler('tools/list', async () => ({ tools }))
    server.setRequestHandler('tools/call', async (request, context) => {
      const { name, arguments: given } = request.params
      return toCallResult(
        await callTool(options, { name, given, signal: AbortSignal.any([context.mcpReq.signal, closed.signal]) }),
      )
    })
    return server
  }
  return {
    factory,
    onResourceUpdated: () => () => undefined,
    onResourceListChanged: () => () => undefined,
    async close() {
      closed.abort(new Error('The server was closed.'))
    },
  }
}

const INSTRUCTIONS = [
  'Kiwi runs LLM agents as managed threads. Items are directives, tools and knowledge.',
  'Use search to find them, load to read them, execute to run a tool; help explains everything (start with topic kiwi-overview).',
  'Long or costly work: execute the tool thread_directive with {directive_name, initial_message, inputs}. It answers at once with a thread_id;',
  'execute wait_thread {thread_id} or read_transcript {thread_id} to follow it, cancel_thread to stop it.',
  'Every call answers within 45 seconds.',
].join(' ')

/** Hints for hosts that ask before risky calls. `load` can copy an item over another, so it is not read-only. */
const ANNOTATIONS: Readonly<Record<string, NonNullable<Tool['annotations']>>> = {
  search: { title: 'Search items', readOnlyHint: true, openWorldHint: false },
  load: { title: 'Load an item', readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  execute: { title: 'Execute an item', readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  sign: { title: 'Sign an item', readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  help: { title: 'Help', readOnlyHint: true, openWorldHint: false },
}

function shownTool(tool: (typeof META_TOOLS)[number]): Tool {
  // The schemas are constants of the kernel with `type: object`; the library's type spells that out.
  const inputSchema = tool.inputSchema as Tool['inputSchema']
  const annotations = ANNOTATIONS[tool.name]
  return { name: tool.name, description: tool.description, inputSchema, ...(annotations === undefined ? {} : { annotations }) }
}

interface Call {
  readonly name: string
  readonly given: unknown
  readonly signal: AbortSignal
}

async function callTool(options: McpServingOptions, call: Call): Promise<MetaToolResult> {
  const tool = META_TOOLS.find((candidate) => candidate.name === call.name)
  if (tool === undefined)
    throw new ProtocolError(
      INVALID_PARAMS,
      `There is no tool \`${call.name}\`. The tools are ${META_TOOLS.map(({ name }) => name).join(', ')}.`,
    )
  const deadlineMs = options.deadlineMs ?? CALL_DEADLINE_MS
  try {
    const request = await parseCallArguments({ name: tool.name, schema: tool.inputSchema }, call.given)
    const projectPath = projectOfCall(request.project_path, options.projectPath)
    const outcome = await withDeadline({ deadlineMs, signal: call.signal }, async (signal) => {
      const { kernel } = await options.open(projectPath)
      return kernel[tool.name](withProject(request, projectPath), { projectPath, signal })
    })
    if (outcome.kind === 'done') return outcome.value
    throw outcome.kind === 'late'
      ? lateError(call.name, deadlineMs)
      : new KiwiError('ABORTED', 'The call was cancelled by its caller.')
  } catch (error) {
    return toEnvelope(error)
  }
}

/** JSON-RPC. */
const INVALID_PARAMS = -32_602

/** The kernel is the project's own; the request says so in the same words, with links resolved. */
function withProject(request: MetaToolRequest, projectPath: string): MetaToolRequest {
  return request.project_path === undefined ? request : { ...request, project_path: projectPath }
}

function lateError(name: string, deadlineMs: number): KiwiError {
  return new KiwiError('TIMEOUT', `\`${name}\` had not answered after ${deadlineMs / 1000} seconds and was stopped.`, {
    suggestion:
      'Run long work on a thread: execute thread_directive, which answers at once with a thread_id, then wait_thread {thread_id}. A thread that was already spawned goes on.',
  })
}

function toCallResult(result: MetaToolResult): CallToolResult {
  const bounded = boundedResult(result)
  return {
    content: [{ type: 'text', text: JSON.stringify(bounded) }],
    structuredContent: { ...bounded },
    isError: !result.success,
  }
}
