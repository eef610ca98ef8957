import {
  Server,
  type Result,
  type ServerCapabilities,
  type ServerContext,
  type ServerOptions,
} from '@modelcontextprotocol/server'
import { createToolCalls } from './call-tool.ts'
import type { McpServing, McpServingOptions } from './contract.ts'
import { createDirectivePrompts, type DirectivePrompts } from './directive-prompts.ts'
import { PROGRESS_EVERY_MS, withProgress } from './progress.ts'
import { type AskingCalls, askingCalls } from './questions/asking-calls.ts'
import { createResultPages } from './result-pages.ts'
import { createSubscriptions } from './subscriptions.ts'
import { TASKS_EXTENSION, TASK_PARAMS, createTasks, type Tasks } from './tasks.ts'
import { RESOURCE_TEMPLATES, createThreadResources, type ThreadResources } from './thread-resources.ts'
import { APPROVALS_URI, rowUri, transcriptUri } from './thread-uri.ts'
import { type ThreadWatch, createThreadWatch } from './thread-watch.ts'
import { listedTools } from './tool-list.ts'

/**
 * The MCP service of one project: the five meta-tools, threads as resources and tasks, directives as prompts. It has no effect and loads
 * nothing until something of a project is asked for, because clients may probe a server with one connection and use it with another; and it
 * lists the same tools whatever is installed.
 */
export function createMcpServing(options: McpServingOptions): McpServing {
  const closed = new AbortController()
  const project = () => options.open(options.projectPath)
  const tools = [...listedTools({ signing: options.signing ?? true })]
  const pages = createResultPages()
  const calls = createToolCalls(options, { tools, pages })
  const tasks = createTasks({ project, projectPath: options.projectPath, answer: (result) => calls.answer('execute', result) })
  const prompts = createDirectivePrompts(project, options.projectPath)
  const resources = createThreadResources(project)
  const watch = createThreadWatch({ threads: async () => (await project()).threads })
  const info = { name: 'kiwi', title: 'Kiwi', version: options.version }
  const everyMs = options.progressMs ?? PROGRESS_EVERY_MS

  async function callTool(
    call: { readonly name: string; readonly arguments?: unknown },
    context: ServerContext,
    run: AskingCalls,
  ): Promise<Result> {
    const outcome = await withProgress(context, { what: call.name, everyMs }, () => run(call, context))
    if ('resultType' in outcome) return outcome
    return (await tasks.created(outcome, context)) ?? calls.answer(call.name, outcome.result)
  }

  return {
    factory({ era }) {
      const server = new Server(info, ERA_OPTIONS[era])
      const run = askingCalls(server, { era, serving: options, calls, closed: closed.signal })
      server.setRequestHandler('tools/list', async () => ({ tools }))
      // A task stands in the place of the result, and the library's type has none.
      server.setRequestHandler('tools/call', async ({ params }, context) => (await callTool(params, context, run)) as never)
      serveResources(server, resources)
      servePrompts(server, prompts)
      if (era === 'modern') serveTasks(server, tasks)
      else createSubscriptions(server, { resources, watch })
      return server
    },
    ...listeners(watch),
    async close() {
      closed.abort(new Error('The server was closed.'))
      watch.close()
      pages.close()
    },
  }
}

const INSTRUCTIONS = [
  'Kiwi runs LLM agents as managed threads. Items are directives, tools and knowledge.',
  'Use search to find them, load to read them, execute to run a tool; help explains everything (start with topic kiwi-overview).',
  'Long or costly work: execute the tool thread_directive with {directive_name, initial_message, inputs}. It answers at once with a thread_id;',
  'execute wait_thread {thread_id} or read_transcript {thread_id} to follow it, cancel_thread to stop it.',
  'A thread may wait for the agreement of the user: wait_thread, list_approvals and the resource kiwi://approvals show what is asked. Unless the user was asked by a dialog,',
  'show it to the user, and execute answer_approval {approval_id, decision: approve_once | approve_thread | deny, reason} with what the user said. No answer is a no.',
  'Every call answers within 45 seconds. A result that was shortened has next_cursor: give it to the same tool as cursor to read all of it.',
].join(' ')

const CAPABILITIES: ServerCapabilities = {
  tools: {},
  prompts: {},
  resources: { subscribe: true, listChanged: true },
}

const HOUR_MS = 3_600_000

const COMMON: ServerOptions = {
  instructions: INSTRUCTIONS,
  // The tools of a server are always the same; all other lists may have changed since.
  cacheHints: {
    'tools/list': { ttlMs: HOUR_MS, cacheScope: 'private' },
    'resources/templates/list': { ttlMs: HOUR_MS, cacheScope: 'private' },
  },
}

const ERA_OPTIONS: Readonly<Record<'legacy' | 'modern', ServerOptions>> = {
  // Its clients may set a level of logging. What there is to tell is in transcripts, so none is ever too low.
  legacy: { ...COMMON, capabilities: { ...CAPABILITIES, logging: {} } },
  modern: { ...COMMON, capabilities: { ...CAPABILITIES, extensions: { [TASKS_EXTENSION]: {} } } },
}

function serveResources(server: Server, resources: ThreadResources): void {
  server.setRequestHandler('resources/list', ({ params }) => resources.list(params?.cursor))
  server.setRequestHandler('resources/templates/list', async () => ({ resourceTemplates: [...RESOURCE_TEMPLATES] }))
  server.setRequestHandler('resources/read', ({ params }) => resources.read(params.uri))
}

function servePrompts(server: Server, prompts: DirectivePrompts): void {
  server.setRequestHandler('prompts/list', ({ params }) => prompts.list(params?.cursor))
  server.setRequestHandler('prompts/get', ({ params }, { mcpReq }) =>
    prompts.get(params.name, params.arguments ?? {}, mcpReq.signal),
  )
}

function serveTasks(server: Server, tasks: Tasks): void {
  const schemas = { params: TASK_PARAMS }
  server.setRequestHandler('tasks/get', schemas, tasks.get)
  server.setRequestHandler('tasks/update', schemas, tasks.update)
  server.setRequestHandler('tasks/cancel', schemas, tasks.cancel)
}

function listeners(watch: ThreadWatch): Pick<McpServing, 'onResourceUpdated' | 'onResourceListChanged'> {
  return {
    onResourceUpdated: (listener) =>
      watch.listen(({ updated, questions }) => {
        if (questions) listener(APPROVALS_URI)
        for (const threadId of updated) for (const uri of [rowUri(threadId), transcriptUri(threadId)]) listener(uri)
      }),
    onResourceListChanged: (listener) =>
      watch.listen(({ hasNew }) => {
        if (hasNew) listener()
      }),
  }
}
